"""Held-out inputs, by whose answers `dtype = "auto"` judges: texts of a file, or the media of a folder."""

from pathlib import Path
from typing import Any

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec

MAX_MEDIA = 256
"""Most media of a folder that are used: all of them are in memory at once."""

SHIPPED_TEXTS = Path(__file__).parent / "pipelines" / "text" / "held_out.txt"


def files(spec: ModelSpec) -> list[Path]:
    """Returns the file with texts, or the media of the folder. Raises ConfigurationError without any.

    Of a large folder they are spread evenly, because names may be those of labels.
    """
    if spec.definition.input.has_texts:
        file = Path(spec.held_out) if spec.held_out else SHIPPED_TEXTS
        if not file.is_file():
            raise ConfigurationError(f"model {spec.name!r}: {file} is not a file with held-out texts")
        return [file]
    folder = Path(spec.held_out or "")
    try:
        found = sorted(file for file in folder.iterdir() if file.is_file() and file.name[0] != ".")
    except OSError as error:
        raise ConfigurationError(f"model {spec.name!r}: held_out: {folder}: {error.strerror}") from None
    if not found:
        raise ConfigurationError(f"model {spec.name!r}: held_out: {folder} contains no files")
    return found[:: -(-len(found) // MAX_MEDIA)]


def inputs(spec: ModelSpec) -> list[Any]:
    """Returns the texts, or the bytes of the media. Raises ConfigurationError."""
    found = files(spec)
    try:
        if not spec.definition.input.has_texts:
            return [file.read_bytes() for file in found]
        [file] = found
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"model {spec.name!r}: {found[0]} cannot be read: {error}") from None
    texts = [line for line in lines if line]
    if not texts:
        raise ConfigurationError(f"model {spec.name!r}: {file} contains no texts")
    return texts
