"""Splits a form (multipart/form-data, RFC 7578) into its parts while it is received. It keeps no bytes."""

import logging
import weakref
from abc import ABC, abstractmethod
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

MAX_NAME = 200
"""Most characters of a part's name."""
MAX_HEADERS = 8 * 1024
"""Most bytes of a part's headers."""

logging.getLogger("python_multipart").setLevel(logging.ERROR)  # it warns of what we answer with an error


@dataclass(frozen=True, slots=True)
class Head:
    """What the headers of a part say."""

    name: str
    content_type: str
    """Without its parameters; empty if none was sent."""
    filename: str | None
    """None if the part is not a file; a file's name may be empty."""


class FormParser(ABC):
    """Takes a form's bytes as they arrive. Raises InvalidRequest for no form, and for too many parts."""

    def __init__(self, content_type: str, max_parts: int) -> None:
        """`content_type` is the request's header, which has the boundary."""
        boundary = parse_options_header(content_type)[1].get(b"boundary")
        if not boundary:
            raise InvalidRequest("the form's content type has no boundary; leave the header to your client")
        self._max_parts = max_parts
        self._headers: dict[bytes, bytes] = {}
        self._name, self._value = b"", b""
        self._header_bytes = 0
        self._begun = 0
        self._in_content = False
        self._ended = False
        self._parser = self._refusing(lambda: MultipartParser(boundary, self._callbacks()))

    @abstractmethod
    def begin(self, head: Head) -> None:
        """A part begins."""

    @abstractmethod
    def data(self, data: bytes) -> None:
        """More bytes of the part. There may be none."""

    @abstractmethod
    def finish(self) -> None:
        """The part has ended."""

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
            "on_part_begin": MethodType(FormParser._on_begin, me),
            "on_header_field": MethodType(FormParser._on_header_name, me),
            "on_header_value": MethodType(FormParser._on_header_value, me),
            "on_header_end": MethodType(FormParser._on_header_end, me),
            "on_headers_finished": MethodType(FormParser._on_head, me),
            "on_part_data": MethodType(FormParser._on_data, me),
            "on_part_end": MethodType(FormParser._on_end, me),
            "on_end": MethodType(FormParser._on_form_end, me),
        }

    def _on_begin(self) -> None:
        self._begun += 1
        if self._begun > self._max_parts:
            raise InvalidRequest(f"the form has more than {self._max_parts} parts")
        self._headers, self._header_bytes, self._in_content = {}, 0, False

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count(end - start)
        self._value += data[start:end]

    def _count(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADERS:
            raise InvalidRequest(f"the headers of part {self._begun} of the form exceed {MAX_HEADERS} bytes")

    def _on_header_end(self) -> None:
        self._headers[self._name.lower()] = self._value
        self._name, self._value = b"", b""

    def _on_head(self) -> None:
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
        file = options.get(b"filename")
        filename = None if file is None else file.decode("utf-8", "replace")
        self._in_content = True
        self.begin(Head(name, content_type.lower(), filename))

    def _on_data(self, data: bytes, start: int, end: int) -> None:
        self.data(data[start:end])

    def _on_end(self) -> None:
        if not self._in_content:
            raise InvalidRequest(f"part {self._begun} of the form has no headers")
        self.finish()

    def _on_form_end(self) -> None:
        self._ended = True
