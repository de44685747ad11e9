"""Real processes for the tests: started with their own environment, ended by their id, never left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil

ROOT = Path(__file__).parent.parent


@contextmanager
def running(module: str, *arguments: str, **settings: object) -> Iterator[subprocess.Popen[bytes]]:
    """`python -m module` with `BATCHLINE_*` settings, given in lower case; it ends with the block."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLINE_")}
    environment |= {f"BATCHLINE_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen([sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment)
    try:
        yield process
    finally:
        if process.poll() is None:  # or its id may be another's by now
            kill_tree(process.pid)
            process.wait(10)


def kill_tree(pid: int) -> None:
    """SIGKILL for a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def write_models(folder: Path, **fields: object) -> Path:
    """A models.toml whose model `sentiment` is the poison pipeline."""
    table = {"pipeline": "tests.worker.poison:Poison", "max_batch_items": 16, "batch_timeout": 60.0, **fields}
    lines = ["[models.sentiment]"] + [f"{name} = {_toml(value)}" for name, value in table.items()]
    path = folder / "models.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
