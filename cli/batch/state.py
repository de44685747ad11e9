"""What a run has sent, in a small file beside OUT, from which the same command continues.

It is written before a batch is created and after. A batch whose creation was interrupted has the run's id in
its metadata, so it is found among the server's batches and not created twice.
"""

import hashlib
import uuid
from pathlib import Path
from typing import Any

import msgspec

from cli.batch.errors import CannotContinue
from cli.batch.replacement import replaced


class Part(msgspec.Struct):
    """One batch: `lines` lines of INPUT, after those of the parts before."""

    lines: int
    file: str
    """The id of the uploaded file."""
    batch: str | None = None


class State(msgspec.Struct):
    """A run. `key` is of everything that decides what is sent."""

    key: str
    run: str = msgspec.field(default_factory=lambda: uuid.uuid4().hex)
    parts: list[Part] = []
    complete: bool = False
    """Whether the parts are all of INPUT."""
    media: str | None = None
    """The id of the uploaded archive of media."""

    @property
    def begun(self) -> bool:
        """Whether there is anything to continue from."""
        return bool(self.parts) or self.media is not None

    @property
    def lines(self) -> int:
        return sum(part.lines for part in self.parts)


def path_of(out: Path) -> Path:
    """The file with the state of the run that writes `out`."""
    return out.with_name(out.name + ".batchline")


def key_of(given: Path, *decisive: Any) -> str:
    """Changes with the input file, or with what is asked of the server."""
    data = [*identity(given), *decisive]
    return hashlib.sha256(msgspec.json.encode(data)).hexdigest()


def identity(path: Path) -> list[Any]:
    """What changes with a file: its path, size and time of change."""
    found = path.stat()
    return [str(path.resolve()), found.st_size, found.st_mtime_ns]


def load(path: Path) -> State | None:
    """The state of an unfinished run; None if there is none. Raises CannotContinue."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CannotContinue(f"{path} cannot be read: {error}; --restart starts anew") from None


def save(path: Path, state: State) -> None:
    """Writes the state; a crash leaves the one before, or this one. Raises CannotContinue."""
    try:
        with replaced(path) as new:
            new.write_bytes(msgspec.json.encode(state))
    except OSError as error:
        raise CannotContinue(f"{path} cannot be written: {error.strerror}") from None
