"""The embedded Valkey of `batchline serve`, as other programs of the same user find it.

`standalone/valkey.py` starts it with a port and a password of that run, in a configuration file that only
this user can read, and holds the folder's lock as long as it runs.
"""

import fcntl
from pathlib import Path

from jobs.settings import Settings

CONFIGURATION, LOCK = "valkey.conf", "lock"
"""Files in the data folder."""


def with_embedded(settings: Settings) -> Settings:
    """Returns the settings with the address of the running embedded server, unless an address is set."""
    if "redis_url" in settings.model_fields_set:
        return settings
    url = address(settings.data_dir.expanduser())
    return settings if url is None else settings.model_copy(update={"redis_url": url})


def address(folder: Path) -> str | None:
    """Returns the address of the server that runs on a data folder; None if this user can reach none."""
    try:
        lines = (folder / CONFIGURATION).read_text(encoding="utf-8").splitlines()
        if not _is_held(folder / LOCK):
            return None
    except OSError:
        return None
    fields = dict(line.split(" ", 1) for line in lines if " " in line)
    if not {"port", "requirepass"} <= fields.keys():
        return None
    return f"redis://:{fields['requirepass']}@127.0.0.1:{fields['port']}/0"


def _is_held(lock: Path) -> bool:
    with lock.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False
