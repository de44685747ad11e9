"""Files in outputs: what is not numbers or texts, such as a mask or a sound, becomes a file with a link.

A pipeline puts a File anywhere into an output. In the output's JSON it becomes
`{"url": ..., "content_type": ..., "bytes": ...}`, and its content travels beside the JSON.
"""

from dataclasses import dataclass, field
from typing import Any

from jobs.media.files import EXTENSIONS
from worker.engine.protocol import OutputFile


class File:
    """A part of an output that clients download. No dataclass: those are encoded as objects of JSON."""

    __slots__ = ("content", "content_type")

    def __init__(self, content: bytes, content_type: str) -> None:
        """Raises ValueError for an unknown content type."""
        if content_type not in EXTENSIONS:
            raise ValueError(f"a file of type {content_type}; known: {', '.join(EXTENSIONS)}")
        self.content = content
        self.content_type = content_type


@dataclass(slots=True)
class FileLinks:
    """Turns the files of one output into links. `start` is the start of their addresses."""

    start: str
    files: list[OutputFile] = field(default_factory=list)

    @property
    def bytes(self) -> int:
        """The size of all files."""
        return sum(len(each.content) for each in self.files)

    def link(self, value: Any) -> dict[str, Any]:
        """`enc_hook` of the output's JSON. Raises NotImplementedError for anything but a File."""
        if not isinstance(value, File):
            raise NotImplementedError(f"cannot encode {type(value).__name__}")
        url = f"{self.start}{len(self.files)}.{EXTENSIONS[value.content_type]}"
        self.files.append(OutputFile(url.rpartition("/")[2], value.content_type, value.content))
        return {"url": url, "content_type": value.content_type, "bytes": len(value.content)}
