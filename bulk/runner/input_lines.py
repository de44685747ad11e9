"""Lines of an input file as a stream: split at line breaks in bounded memory, and decoded to requests."""

from collections.abc import AsyncIterable, AsyncIterator
from typing import NamedTuple

import msgspec

from bulk.batches.batch import Fault
from bulk.runner.lines.interface import Line

BOM = b"\xef\xbb\xbf"

MARGIN = 8
"""Bytes of a line that may come with the longest content: BOM, CR and LF."""

SHOWN = 60
"""Most characters of a client's value in a message."""


class RawLine(NamedTuple):
    """A line that is not blank."""

    number: int
    """From 1; blank lines count too."""
    offset: int
    """Of its first byte in the file."""
    size: int
    """Bytes of the line with its line break."""
    content: bytes | None
    """Without the line break; None if the line is longer than the limit."""


async def split(parts: AsyncIterable[bytes], longest: int) -> AsyncIterator[RawLine]:
    """Yields the lines of a file that arrives in parts. A longer line than `longest` bytes is not kept."""
    number, offset, kept, size = 1, 0, bytearray(), 0
    async for part in parts:
        start = 0
        while start < len(part):
            end = part.find(b"\n", start) + 1
            piece = memoryview(part)[start : end or len(part)]
            size += len(piece)
            kept += piece[: longest + MARGIN - len(kept)]
            start += len(piece)
            if end:
                if (line := _line(number, offset, size, kept, longest)) is not None:
                    yield line
                number, offset, kept, size = number + 1, offset + size, bytearray(), 0
    if (line := _line(number, offset, size, kept, longest)) is not None:
        yield line


def _line(number: int, offset: int, size: int, kept: bytearray, longest: int) -> RawLine | None:
    content = bytes(kept).rstrip(b"\r\n")
    if number == 1:
        content = content.removeprefix(BOM)
    if len(content) > longest or size > longest + MARGIN:
        return RawLine(number, offset, size, None)
    return RawLine(number, offset, size, content) if content.strip() else None


class _Request(msgspec.Struct, frozen=True):
    custom_id: msgspec.Raw = msgspec.Raw()
    method: msgspec.Raw = msgspec.Raw()
    url: msgspec.Raw = msgspec.Raw()
    body: msgspec.Raw = msgspec.Raw()


MAX_CUSTOM_ID = 512
"""Most characters of a custom_id."""

_requests = msgspec.json.Decoder(_Request)
_texts = msgspec.json.Decoder(str)


class LineFault(Exception):
    """A line that makes its file invalid."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.message)
        self.fault = fault


def decoded(line: RawLine, endpoint: str, longest: int) -> Line:
    """Returns the request of a line of a batch for that endpoint. Raises LineFault."""

    def fault(code: str, message: str, param: str | None = None) -> LineFault:
        return LineFault(Fault(code=code, message=message, line=line.number, param=param))

    if line.content is None:
        raise fault(
            "invalid_json_line", f"the line has more than {longest:,} bytes (BATCHLINE_MAX_REQUEST_BYTES)"
        )
    try:
        line.content.decode()
    except UnicodeDecodeError as error:
        raise fault("invalid_json_line", f"the line is not UTF-8 at byte {error.start + 1}") from None
    try:
        request = _requests.decode(line.content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise fault("invalid_json_line", f"the line is no JSON object: {error}") from None
    custom_id = _text(request.custom_id)
    if not custom_id:
        raise fault("missing_custom_id", "give a custom_id, a text that is not empty", "custom_id")
    if len(custom_id) > MAX_CUSTOM_ID:
        raise fault("invalid_custom_id", f"custom_id: give at most {MAX_CUSTOM_ID} characters", "custom_id")
    if _text(request.method) != "POST":
        raise fault("invalid_method", f"method: give POST, not {_shown(request.method)}", "method")
    if _text(request.url) != endpoint:
        raise fault(
            "url_mismatch", f"url: give {endpoint}, the batch's endpoint, not {_shown(request.url)}", "url"
        )
    if bytes(request.body)[:1] != b"{":
        raise fault("invalid_body", "body: give a JSON object, the request", "body")
    return Line(line.number, custom_id, bytes(request.body))


def _text(value: msgspec.Raw) -> str | None:
    try:
        return _texts.decode(value)
    except msgspec.DecodeError:
        return None


def _shown(value: msgspec.Raw) -> str:
    text = bytes(value).decode(errors="replace")
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..." if text else "nothing"
