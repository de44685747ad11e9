"""Rows of a batch's output and error files, in OpenAI's form. A row is JSON without a line break."""

from typing import NamedTuple

import msgspec

from bulk.runner.lines.interface import Line, row_id

_encode = msgspec.json.Encoder().encode


class Row(NamedTuple):
    """The outcome of a line."""

    line: Line
    failed: bool
    """Whether it belongs into the error file."""
    data: bytes
    tokens: int = 0
    """Tokens of the line's inputs."""


def answered(batch_id: str, line: Line, status: int, request_id: str, body: bytes) -> bytes:
    """The row of a line whose call was answered, also with an error."""
    return b"".join(
        (
            b'{"id":',
            _encode(row_id(batch_id, line.number)),
            b',"custom_id":',
            _encode(line.custom_id),
            b',"response":{"status_code":%d,"request_id":' % status,
            _encode(request_id),
            b',"body":',
            body,
            b'},"error":null}',
        )
    )
