"""Validation: reads an input file once, as a stream, and finds either its faults or its chunks.

What is kept of each line is a digest of its custom_id; so memory depends on the number of lines only.
"""

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator

from bulk.batches.batch import MAX_FAULTS, Asked, Fault
from bulk.runner.input_lines import LineFault, RawLine, decoded
from bulk.runner.lines.interface import Line, Lines
from bulk.runner.parts import Chunk
from jobs.errors import InvalidRequest, UnknownModel
from jobs.models import ModelSpec

CHUNK_BYTES = 1024 * 1024
"""Bytes of lines from which on a chunk takes no further one: a process holds several chunks in memory."""

MAX_MESSAGE = 300
"""Most characters of a message, which may have the client's own text in it."""

TURN = 0.02
"""Seconds after which the event loop gets its turn."""


class Validation:
    """The checks of one file. Call `read` once; then the other members are known."""

    def __init__(self, asked: Asked, lines: Lines, most_lines: int, longest: int) -> None:
        """`longest`: most bytes of a line."""
        self._asked = asked
        self._lines = lines
        self._most_lines = most_lines
        self._longest = longest
        self._ids: set[bytes] = set()
        self.faults: list[Fault] = []
        self.chunks: list[Chunk] = []
        self.total = 0
        self.spec: ModelSpec | None = None
        """The model of all lines."""

    async def read(self, lines: AsyncIterator[RawLine]) -> None:
        """Reads all lines, or as many as it takes to fill the list of faults."""
        began = time.monotonic()
        async for line in lines:
            if time.monotonic() - began > TURN:
                await asyncio.sleep(0)  # for the leases and the other batches of this process
                began = time.monotonic()
            self.total += 1
            if self.total > self._most_lines:
                self._too_many()
                return
            try:
                self._check(line)
            except LineFault as error:
                self.faults.append(error.fault)
                if len(self.faults) >= MAX_FAULTS:
                    return
        if not self.total:
            self.faults.append(Fault(code="empty_file", message="the file has no lines with requests"))

    def _too_many(self) -> None:
        message = f"the file has more than {self._most_lines:,} requests (BATCHLINE_MAX_BATCH_LINES)"
        self.faults = [Fault(code="too_many_tasks", message=message), *self.faults[: MAX_FAULTS - 1]]

    def _check(self, line: RawLine) -> None:
        request = decoded(line, self._asked.endpoint, self._longest)
        digest = hashlib.blake2b(request.custom_id.encode(), digest_size=16).digest()
        if digest in self._ids:
            raise LineFault(
                Fault(
                    code="duplicate_custom_id",
                    message=f"an earlier line has the custom_id {request.custom_id[:60]!r} too",
                    line=line.number,
                    param="custom_id",
                )
            )
        self._ids.add(digest)
        self._check_model(request)
        if not self.faults:
            self._place(line)

    def _check_model(self, request: Line) -> None:
        try:
            spec = self._lines.model(self._asked.endpoint, request.body, self._asked.models)
        except UnknownModel as error:
            raise _body_fault(request, "model_not_found", error, "body.model") from None
        except InvalidRequest as error:
            raise _body_fault(request, "invalid_body", error, "body") from None
        if self.spec is None:
            self.spec = spec
        elif spec.name != self.spec.name:
            raise LineFault(
                Fault(
                    code="model_mismatch",
                    message=f"the model is {spec.name!r}; earlier lines have {self.spec.name!r}, and a batch"
                    " has one model",
                    line=request.number,
                    param="body.model",
                )
            )

    def _place(self, line: RawLine) -> None:
        """Adds the line to the newest chunk, or begins another one."""
        assert self.spec is not None
        most = self._lines.lines_per_chunk(self._asked.endpoint, self.spec)
        last = self.chunks[-1] if self.chunks else None
        if last is None or last.lines >= most or last.size + line.size > CHUNK_BYTES:
            self.chunks.append(Chunk(line.offset, line.size, line.number, 1))
        else:
            # the size includes blank lines between them
            size = line.offset + line.size - last.offset
            self.chunks[-1] = last._replace(size=size, lines=last.lines + 1)


def _body_fault(request: Line, code: str, error: Exception, param: str) -> LineFault:
    message = str(error)[:MAX_MESSAGE]
    return LineFault(Fault(code=code, message=message, line=request.number, param=param))
