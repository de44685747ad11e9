"""Commands that start Batchline's own programs as child processes."""

import contextlib
import sys
from pathlib import Path

CODE_FOLDER = Path(__file__).resolve().parents[2]
"""The folder of `api`, `jobs` and `worker`: a checkout, or the site-packages of an installation."""


def command(module: str, *arguments: str) -> list[str]:
    """Returns the command `python -m MODULE ARGUMENTS` that runs the same code as this process.

    `-m` alone puts the current folder first on the path, and a user's folder may contain an `api` or a
    `worker` too. So `-P` excludes it, unless it is the folder of the code.
    """
    options = [] if _current_folder() == CODE_FOLDER else ["-P"]
    return [sys.executable, *options, "-m", module, *arguments]


def find_modules_in_current_folder() -> None:
    """Adds the current folder, which `command` excluded, to the end of the path for the user's modules."""
    folder = str(_current_folder())
    if folder not in sys.path:
        sys.path.append(folder)


def _current_folder() -> Path:
    with contextlib.suppress(FileNotFoundError):  # the folder was deleted
        return Path.cwd().resolve()
    return Path("/")
