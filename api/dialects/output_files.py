"""The files of a job's outputs, such as masks and sounds, in the place of their addresses.

In an output a file is an object below the job's address: `{"url", "content_type", "bytes"}`.
"""

from collections.abc import Callable, Iterator
from typing import Any

from jobs.media import files


def start_of(job_id: str) -> str:
    """Returns what the addresses of the job's files begin with."""
    return files.link_start(job_id, 0).removesuffix("0-")


def names(value: Any, start: str) -> Iterator[str]:
    """Yields the names of the files in an output, also repeated ones."""
    if (name := _name(value, start)) is not None:
        yield name
    elif isinstance(value, dict | list):
        for part in value.values() if isinstance(value, dict) else value:
            yield from names(part, start)


def filled(value: Any, start: str, replaced: Callable[[dict[str, Any], str], Any]) -> Any:
    """Returns the output with `replaced(file, name)` in the place of each file."""
    if (name := _name(value, start)) is not None:
        return replaced(value, name)
    if isinstance(value, dict):
        return {key: filled(part, start, replaced) for key, part in value.items()}
    if isinstance(value, list):
        return [filled(part, start, replaced) for part in value]
    return value


def _name(value: Any, start: str) -> str | None:
    """The name of the file that a value of an output is, or None."""
    match value:
        case {"url": str(url), "content_type": str(), "bytes": int()} if url.startswith(start):
            return url.removeprefix(start)
    return None
