"""The Redis keys of all rooms: every package's `keys.py` with a tuple `ALL`."""

from importlib import import_module
from pathlib import Path

from jobs.ledger.keys import Key

ROOT = Path(__file__).parent.parent

PACKAGES = tuple(name for name in ("bulk", "hooks", "jobs") if (ROOT / name).is_dir())
"""The packages that use Redis."""

ALL: tuple[Key, ...] = tuple(
    key
    for package in PACKAGES
    for file in sorted((ROOT / package).rglob("keys.py"))
    for key in import_module(".".join(file.relative_to(ROOT).with_suffix("").parts)).ALL
)
