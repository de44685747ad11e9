"""A class for images whose outputs have files. The end of an image says what it does."""

from pathlib import Path
from typing import Any

from tests.worker.poison import Poison
from worker.engine.pipelines.files import File

PNG = b"\x89PNG\r\n\x1a\n"


def picture(text: str, size: int = 40_000) -> bytes:
    """An image by its first bytes, whose end is the text."""
    return PNG + b"." * size + b"|" + text.encode()


def shown(data: bytes) -> bytes:
    """The content of the first file of an image's output."""
    return b"file of " + data.rpartition(b"|")[2]


class Pictures:
    """Answers each image with its size, its text and two files; some texts do harm, as Poison's."""

    writes_files = True
    warm_up = (picture("warm", 10),)

    def __init__(self, source: Path | None = None, **options: object) -> None:
        self._poison = Poison()

    def __call__(self, inputs: list[bytes], factor: float = 1.0) -> list[Any]:
        return [self._one(data, len(inputs)) for data in inputs]

    def _one(self, data: bytes, size: int) -> Any:
        text = data.rpartition(b"|")[2].decode()
        if text == "no file":
            return {"bytes": len(data)}
        self._poison.one(text.removeprefix("first "), size, 1.0)
        files = [File(shown(data), "image/png"), File(b"w" * 100, "audio/wav")]
        return {"bytes": len(data), "text": text, "files": files}


class Undeclared(Pictures):
    """Does not say that it writes files."""

    writes_files = False
