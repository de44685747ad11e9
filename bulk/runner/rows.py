"""Rows of the error file for lines that were not run."""

from collections.abc import Sequence

import msgspec

from bulk.runner.lines.interface import Line, Rows, row_id

EXPIRED = "batch_expired", "This request could not be executed before the completion window expired."
BROKEN = "internal_error", "The server failed on this request; its log has the reason."


def expired(batch_id: str, rows: Rows) -> Rows:
    """The rows, with an error for each line that has no outcome because the window has ended."""
    return with_errors(batch_id, rows, EXPIRED)


def broken(batch_id: str, lines: Sequence[Line]) -> Rows:
    """An error for each line of a chunk that cannot be run because of a bug."""
    return with_errors(batch_id, Rows((), (), lines), BROKEN)


def with_errors(batch_id: str, rows: Rows, error: tuple[str, str]) -> Rows:
    """The rows, with an error for each line that is left."""
    code, message = error
    added = [
        msgspec.json.encode(
            {
                "id": row_id(batch_id, line.number),
                "custom_id": line.custom_id,
                "response": None,
                "error": {"code": code, "message": message},
            }
        )
        for line in rows.left
    ]
    return rows._replace(errors=[*rows.errors, *added], left=())
