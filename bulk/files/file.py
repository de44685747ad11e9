"""File: the record of an uploaded file, or of one with a batch's answers."""

import re
import secrets
from typing import Literal, get_args

import msgspec

Purpose = Literal["batch", "batch_output", "user_data"]
"""`batch`: lines of requests. `batch_output`: lines of answers, written by a batch. `user_data`: an archive
of media to which the lines of a batch refer by name."""

PURPOSES: tuple[Purpose, ...] = get_args(Purpose)

UPLOADED: tuple[Purpose, ...] = ("batch", "user_data")
"""Purposes that an upload may have."""

ID = re.compile(r"file-[0-9A-Za-z_-]{8,80}")
"""What ids look like. They become parts of Redis keys and of paths."""

FOLDER = "contents"
"""Where the contents of files are stored."""

MAX_NAME = 255
"""Most characters of a file name; longer ones lose their beginning."""


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A file as it is recorded. Times are Unix milliseconds by the clock of Redis."""

    id: str
    owner: str
    purpose: Purpose
    bytes: int
    created: int
    expires: int | None
    """None: it is kept until it is deleted."""
    filename: str

    @property
    def path(self) -> str:
        """Where its content is stored."""
        return path_of(self.id)


class NewFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender says of a file."""

    owner: str
    purpose: Purpose
    filename: str
    lifetime: float | None = None
    """Seconds until it expires; None: `file_ttl` for the files of batches, and no end for `user_data`."""


def new_id() -> str:
    """Returns the id of a new file."""
    return f"file-{secrets.token_hex(16)}"


def path_of(file_id: str) -> str:
    """Returns where the content of a file is stored."""
    return f"{FOLDER}/{file_id}"
