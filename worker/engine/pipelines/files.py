"""Files in outputs: what is not numbers or texts, such as a mask or a sound, becomes a file with a link.

A pipeline puts a File anywhere into an output. In the output's JSON it becomes
`{"url": ..., "content_type": ..., "bytes": ...}`, and its content travels beside the JSON.
"""

from dataclasses import dataclass, field
from typing import Any

from worker.engine.protocol import OutputFile

EXTENSIONS = {"image/png": "png", "image/jpeg": "jpg", "audio/wav": "wav", "application/octet-stream": "bin"}
"""Content types that a file may have -> the end of its name."""


@dataclass(frozen=True, slots=True)
class File:
    """A part of an output that clients download."""

    content: bytes
    content_type: str

    def __post_init__(self) -> None:
        if self.content_type not in EXTENSIONS:
            raise ValueError(f"a file of type {self.content_type}; known: {', '.join(EXTENSIONS)}")


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
