"""The settings of files and batches, a part of `Settings`."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

MIB = 1024 * 1024

MONTH = 30 * 86_400
"""Seconds, the longest lifetime that `expires_after` can give a file."""


class BulkSettings(BaseSettings):
    """A base of `Settings`, which documents how they are read."""

    storage_url: str | None = None
    """Where the contents of files are stored: `s3://bucket/prefix`, `gs://`, `az://`, or `file:///folder`. By
    default the folder `files` in `data_dir`, which the API and bulk processes must share."""
    max_file_bytes: Annotated[int, Field(ge=1)] = 200 * MIB
    """Most bytes of one uploaded file; a larger one is answered 413."""
    max_stored_bytes: Annotated[int, Field(ge=1)] = 10 * 1024 * MIB
    """Most bytes of one owner's files. Beyond it an upload is refused; output files of batches are still
    written."""
    file_ttl: Annotated[float, Field(ge=3600, le=MONTH)] = float(MONTH)
    """Seconds for which the files of batches are kept, unless `expires_after` says otherwise."""

    max_batch_lines: Annotated[int, Field(ge=1)] = 50_000
    """Most requests of one batch; a batch with more fails when its file is validated."""
    max_open_batches: Annotated[int, Field(ge=1)] = 1_000
    """Most unfinished batches of one owner."""
    batches_at_once: Annotated[int, Field(ge=1, le=64)] = 4
    """Batches that one bulk process runs at a time."""
    batch_ttl: Annotated[float, Field(ge=60)] = float(MONTH)
    """Seconds for which a batch can be read after its end."""

    @field_validator("storage_url", mode="before")
    @classmethod
    def _default_if_empty(cls, given: object) -> object:
        return None if isinstance(given, str) and not given.strip() else given
