"""Files in outputs, such as a depth map or generated speech: objects with an address and a content type."""

import re
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal, NamedTuple

MAX_FILES = 12
"""Maximum files of one output that a page shows."""

_OURS = re.compile(r"/v1/jobs/[\w-]+/files/[\w.-]+")


class OutputFile(NamedTuple):
    """One file. `kind` says how a browser shows it."""

    name: str
    """The name of the part of the output that it is."""
    url: str
    content_type: str
    size: int
    kind: Literal["image", "audio", "other"]


def file_of(value: object, name: str = "") -> OutputFile | None:
    """The file that a part of an output names, or None.

    Only addresses of our own files count: a pipeline class may return any text under these names.
    """
    match value:
        case {"url": str(url), "content_type": str(kind), "bytes": int(size)} if _OURS.fullmatch(url):
            image, audio = kind.startswith("image/"), kind.startswith("audio/")
            return OutputFile(name, url, kind, size, "image" if image else "audio" if audio else "other")
    return None


def files_of(output: Any) -> list[OutputFile]:
    """The files of an output: itself, the values of an object, or those of a list of objects."""
    return list(islice(_files(output), MAX_FILES))


def _files(output: Any) -> Iterator[OutputFile]:
    for part in output[:MAX_FILES] if isinstance(output, list) else [output]:
        if found := file_of(part):
            yield found
        elif isinstance(part, dict):
            yield from (found for name, value in part.items() if (found := file_of(value, str(name))))


def without_files(output: Any) -> Any:
    """The rest of an output: the values of its objects that are no files and not large."""
    if isinstance(output, list):
        return [rest for part in output[:MAX_FILES] if (rest := without_files(part))]
    if not isinstance(output, dict) or file_of(output):
        return {}
    return {
        name: value for name, value in output.items() if isinstance(value, str | int | float) and value != ""
    }
