"""The answers of one batch: where each row's answer is in the downloaded files, and what it says.

A batch may answer in any order. Its files stay on disk, and 16 bytes for each row are in memory.
"""

from array import array
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, TypeVar

import msgspec

from cli.batch.errors import CannotContinue

T = TypeVar("T")

WITHOUT_REASON = "failed without a reason"
WITHOUT_ANSWER = {
    "cancelled": "the batch was cancelled before this row ran",
    "expired": "the batch expired before this row ran",
}


class Outcome(NamedTuple):
    """What became of a row: an output, or the reason why there is none."""

    output: Any
    error: str | None


class _Response(msgspec.Struct):
    status_code: int
    body: msgspec.Raw = msgspec.Raw(b"null")


class _Error(msgspec.Struct):
    message: str = ""
    code: str | None = None


class _Id(msgspec.Struct):
    custom_id: str


class _Line(msgspec.Struct):
    custom_id: str
    response: _Response | None = None
    error: _Error | None = None


_lines = msgspec.json.Decoder(_Line)
_ids = msgspec.json.Decoder(_Id)


class Answers:
    """The answers to `count` rows, in the order of the rows."""

    def __init__(self, ids: Iterator[str], count: int, files: Sequence[Path], status: str) -> None:
        """`ids` are those of the rows, of which the first `count` are taken. Raises CannotContinue."""
        self._count = count
        self._files = files
        self._missing = WITHOUT_ANSWER.get(status, "the server has no answer for this row")
        positions = {custom_id: row for row, custom_id in enumerate(islice(ids, count))}
        self._at = [array("q", [-1]) * count for _ in files]
        for path, at in zip(files, self._at, strict=True):
            with path.open("rb") as file:
                self._locate(file, at, positions)

    def _locate(self, file: BinaryIO, at: "array[int]", positions: Mapping[str, int]) -> None:
        start = 0
        for line in file:
            custom_id = self._decoded(_ids.decode, line).custom_id
            row = positions.get(custom_id)
            if row is None or any(each[row] >= 0 for each in self._at):
                what = "that is not in this batch" if row is None else "twice"
                raise CannotContinue(f"the server answered row {custom_id!r} {what}")
            at[row] = start
            start += len(line)

    def __iter__(self) -> Iterator[Outcome]:
        """The outcome of each row."""
        with ExitStack() as exits:
            files = [exits.enter_context(path.open("rb")) for path in self._files]
            for row in range(self._count):
                yield self._outcome(files, row)

    def _outcome(self, files: Sequence[BinaryIO], row: int) -> Outcome:
        for file, at in zip(files, self._at, strict=True):
            if at[row] >= 0:
                file.seek(at[row])
                return self._decoded(outcome, file.readline())
        return Outcome(None, self._missing)

    def _decoded(self, decode: Callable[[bytes], T], line: bytes) -> T:
        try:
            return decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CannotContinue(f"the server sent a line that is no answer of a batch: {error}") from None


def outcome(encoded: bytes) -> Outcome:
    """The output in a line, without what the endpoint has around it. Raises what msgspec raises."""
    line = _lines.decode(encoded)
    if line.response is None:
        error = line.error or _Error()
        return Outcome(None, error.message or error.code or WITHOUT_REASON)
    body = msgspec.json.decode(line.response.body)
    if line.response.status_code >= 400:
        return Outcome(None, _reason(body) or f"status {line.response.status_code}")
    try:
        return _unwrapped(body)
    except (AttributeError, KeyError, TypeError):  # a form that only begins like a known one is an output too
        return Outcome(body, None)


def _reason(body: Any) -> str | None:
    if not isinstance(body, dict):
        return None
    error = body.get("error")
    found = (
        error.get("message") if isinstance(error, dict) else error or body.get("detail") or body.get("title")
    )
    return found if isinstance(found, str) else None


def _unwrapped(body: Any) -> Outcome:
    match body:
        case {"choices": [*choices]}:  # chats and completions
            texts = [
                each["message"]["content"] if "message" in each else each.get("text") for each in choices
            ]
            return Outcome(texts[0] if len(texts) == 1 else texts, None)
        case {"object": "list", "data": [{"embedding": _}, *_]}:
            vectors = [each["embedding"] for each in body["data"]]
            return Outcome(vectors[0] if len(vectors) == 1 else vectors, None)
        case {"results": [{"output": _} | {"error": _}, *_]}:  # a job
            failed = [each["error"] for each in body["results"] if "error" in each]
            if failed:
                return Outcome(None, failed[0].get("detail") or failed[0].get("title") or WITHOUT_REASON)
            outputs = [each["output"] for each in body["results"]]
            return Outcome(outputs[0] if len(outputs) == 1 else outputs, None)
        case {"results": [{"categories": _} as only]}:  # a moderation
            return Outcome(only, None)
        case {"results": results}:
            return Outcome(results, None)
    return Outcome(body, None)
