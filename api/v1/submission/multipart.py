"""Splits a form (multipart/form-data, RFC 7578) into its parts while it is received."""

import logging
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from types import MethodType
from typing import TYPE_CHECKING, TypeVar

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from jobs.errors import InvalidRequest

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

R = TypeVar("R")

MAX_PARTS = 1_000
"""Most parts of a form. Each takes about 20 us, however few bytes it has."""
MAX_NAME = 200
"""Most characters of a part's name."""

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of what we answer with 422


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


class FormReader:
    """Takes a form's bytes as they arrive. Raises InvalidRequest if they are no form, or have too many parts.

    A part's bytes are kept once, and only until `parts` is read.
    """

    def __init__(self, content_type: str) -> None:
        """`content_type` is the request's header, which has the boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise InvalidRequest("the form's content type has no boundary; leave the header to your client")
        self.parts: list[Part] = []
        self._data = bytearray()
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._begun = 0
        self._ended = False
        self._parser = self._refusing(lambda: MultipartParser(boundary, self._callbacks()))

    def write(self, data: bytes) -> None:
        """Takes the next bytes."""
        self._refusing(lambda: self._parser.write(data))

    def end(self) -> None:
        """Notes the end of the body."""
        if not self._ended:
            raise InvalidRequest("the body is not a whole form: its last boundary is missing")

    def _refusing(self, step: Callable[[], R]) -> R:
        try:
            return step()
        except FormParserError as error:
            raise InvalidRequest(f"the body is not a valid form: {error}") from None

    def _callbacks(self) -> "MultipartCallbacks":
        # else the parser and this would refer to each other, and only a collection would free the parts
        me = weakref.proxy(self)
        return {
            "on_part_begin": MethodType(FormReader._on_begin, me),
            "on_header_field": MethodType(FormReader._on_header_name, me),
            "on_header_value": MethodType(FormReader._on_header_value, me),
            "on_header_end": MethodType(FormReader._on_header_end, me),
            "on_part_data": MethodType(FormReader._on_data, me),
            "on_part_end": MethodType(FormReader._on_end, me),
            "on_end": MethodType(FormReader._on_form_end, me),
        }

    def _on_begin(self) -> None:
        self._begun += 1
        if self._begun > MAX_PARTS:
            raise InvalidRequest(f"the form has more than {MAX_PARTS} parts")
        self._data, self._headers = bytearray(), {}

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self._data += data[start:end]

    def _on_form_end(self) -> None:
        self._ended = True

    def _on_end(self) -> None:
        disposition, options = parse_options_header(self._headers.get(b"content-disposition"))
        name = options.get(b"name", b"").decode("utf-8", "replace")
        if disposition != b"form-data" or not name or len(name) > MAX_NAME:
            raise InvalidRequest(
                f"part {self._begun} of the form has no content-disposition: form-data with a name of 1 to"
                f" {MAX_NAME} characters"
            )
        encoding = self._headers.get(b"content-transfer-encoding", b"binary").strip().lower()
        if encoding not in (b"binary", b"8bit", b"7bit"):
            raise InvalidRequest("content-transfer-encoding: send the parts of a form as they are (binary)")
        content_type = parse_options_header(self._headers.get(b"content-type"))[0].decode("latin-1")
        filename = options.get(b"filename")
        self.parts.append(
            Part(
                name,
                content_type.lower(),
                filename is not None,
                bytes(self._data),
                (filename or b"").decode("utf-8", "replace"),
            )
        )
        self._data = bytearray()
