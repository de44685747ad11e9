"""The parts of a form, each with its bytes."""

from dataclasses import dataclass

from api.edge.multipart import FormParser, Head

MAX_PARTS = 1_000
"""Most parts of a form. Each takes about 20 us, however few bytes it has."""


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form."""

    name: str
    content_type: str
    """Without its parameters; empty if none was sent."""
    is_file: bool
    """Whether it was sent with a file name, which may be empty."""
    data: bytes
    filename: str = ""


class FormReader(FormParser):
    """Takes a form's bytes as they arrive. Raises InvalidRequest if they are no form, or have too many parts.

    A part's bytes are kept once, and only until `parts` is read.
    """

    def __init__(self, content_type: str) -> None:
        """`content_type` is the request's header, which has the boundary."""
        super().__init__(content_type, MAX_PARTS)
        self.parts: list[Part] = []
        self._data = bytearray()
        self._head: Head

    def begin(self, head: Head) -> None:
        self._head = head
        self._data = bytearray()

    def data(self, data: bytes) -> None:
        self._data += data

    def finish(self) -> None:
        head = self._head
        is_file = head.filename is not None
        self.parts.append(Part(head.name, head.content_type, is_file, bytes(self._data), head.filename or ""))
        self._data = bytearray()
