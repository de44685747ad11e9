"""ContinuousLoop: the engine's three threads with continuous batching: rows join and leave between two steps.

reader  receives requests, and checks and tokenises their inputs, while a step computes
main    lets waiting rows join and computes steps; it reports the rows that join, and that it is alive
writer  encodes the answers of rows that have ended, and sends them with partial ones: `row_writer.py`

Rows join strictly in order of arrival, which is the worker's order of urgency. A row that does not fit waits
at the head until enough others have ended: if smaller ones went first, it could wait for ever. The worker
sends few rows more than there are slots, so little fits behind such a head. Of many long prompts, some join
before each step, so that the rows that run do not wait for all of them.

An error that is one row's fails that row. If a step raises, all its rows leave and are answered so, because
their state is unknown; the worker finds the cause (`worker/scheduling/isolation.py`).
"""

import contextlib
import sys
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import NoReturn

import msgspec
from structlog.typing import FilteringBoundLogger

from jobs.errors import InvalidRequest
from worker.engine import forks
from worker.engine.conveyor import (
    SWITCH_SECONDS,
    Stream,
    end_process,
    receive,
    run_or_exit,
)
from worker.engine.pipelines.continuous import ContinuousPipeline, Progress, Row
from worker.engine.protocol import (
    MAX_FRAME,
    Joined,
    Partial,
    Run,
    Withdraw,
    Withdrawn,
)
from worker.engine.row_writer import EngineRow, RowWriter
from worker.engine.shortage import is_shortage

ALIVE_SECONDS = 0.2
"""After this time without a report about a row that has joined, a step reports that the engine is alive."""

MAX_JOINING = 2_048
"""Most tokens of prompts that join between two steps, as all rows wait for them; a longer one joins alone.

A pipeline that computes long prompts in pieces counts a piece."""

_decode = msgspec.msgpack.Decoder().decode


class ContinuousLoop:
    """Serves one pipeline with continuous batching on one socket."""

    def __init__(
        self,
        pipeline: ContinuousPipeline,
        stream: Stream,
        log: FilteringBoundLogger,
        max_output: int = MAX_FRAME // 2,
    ) -> None:
        """`max_output`: maximum bytes of one output's JSON."""
        self._pipeline = pipeline
        self._stream = stream
        self._log = log
        self._writer = RowWriter(pipeline, stream, log, max_output)
        self._arrivals: SimpleQueue[EngineRow | int] = SimpleQueue()
        """Rows to compute, and the ids of rows that are withdrawn."""
        self._waiting: deque[EngineRow] = deque()
        self._running: dict[int, EngineRow] = {}
        """Rows that have joined, by the `id` of the pipeline's row."""
        self._reported = 0.0
        """When the main thread last reported about a row that has joined."""
        self._short_of_memory = False
        """Whether the head of the waiting rows must wait until another row has left."""
        self._idle_ms = 0.0
        """Time with nothing to compute since the last row joined."""
        self._shares = 0.0
        """Sum over all steps of the milliseconds of the step for each of its rows."""
        self._steps = self._rows = 0

    def serve(self) -> NoReturn:
        """Computes until the socket closes, which ends the process."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for loop in (self._read, self._writer.run):
            threading.Thread(
                target=run_or_exit, args=[loop, self._log], name=loop.__name__, daemon=True
            ).start()
        while True:
            self._take_arrivals()
            self._admit()
            if self._running:
                self._step()

    # The reader.

    def _read(self) -> None:
        while True:
            match receive(self._stream):
                case None:
                    end_process(0)
                case request_id, Withdraw():
                    self._arrivals.put(request_id)
                case request_id, Run() as request:
                    row = EngineRow(request_id, request.stream, request.links[0] if request.links else None)
                    try:
                        [one] = request.inputs
                        row.row = self._pipeline.row(_decode(one), request.parameters)
                    except Exception as error:
                        self._writer.failed([row], error)
                    else:
                        self._arrivals.put(row)
                    finally:
                        forks.exit_if_forked()

    # The main thread.

    def _take_arrivals(self) -> None:
        """Takes what the reader has received; waits for it if there is nothing to compute."""
        if not (self._running or self._waiting):
            began = time.monotonic()
            self._take(self._arrivals.get())
            self._idle_ms += (time.monotonic() - began) * 1000
        with contextlib.suppress(Empty):
            while True:
                self._take(self._arrivals.get_nowait())

    def _take(self, arrival: EngineRow | int) -> None:
        if isinstance(arrival, EngineRow):
            self._waiting.append(arrival)
        elif row := next((row for row in self._running.values() if row.id == arrival), None):
            self._leave(row)
            self._writer.put(row, Withdrawn())
        elif row := next((row for row in self._waiting if row.id == arrival), None):
            self._waiting.remove(row)
            self._writer.put(row, Withdrawn())

    def _leave(self, row: EngineRow) -> None:
        del self._running[id(row.row)]
        self._short_of_memory = False
        self._pipeline.leave(row.row)

    def _admit(self) -> None:
        """Lets waiting rows join, in order, while they fit."""
        joining: list[EngineRow] = []
        room, tokens = self._pipeline.slots - len(self._running), 0
        while self._waiting and len(joining) < room and not self._short_of_memory:
            if not self._pipeline.fits(self._waiting[0].row):
                if not (self._running or joining):
                    row = self._waiting.popleft()
                    self._writer.failed(
                        [row], InvalidRequest("the model has too little memory for this input")
                    )
                    continue
                break
            tokens += _joining_tokens(self._waiting[0].row)
            if joining and tokens > MAX_JOINING:
                break
            joining.append(self._waiting.popleft())
        if joining:
            self._waiting.extendleft(reversed(self._join(joining)))

    def _join(self, rows: Sequence[EngineRow]) -> Sequence[EngineRow]:
        """Computes the rows' prompts; returns those that must wait for memory after all."""
        self._writer.send((row.id, Joined()) for row in rows)  # first: it may be the end of this process
        began = self._reported = time.monotonic()
        try:
            self._pipeline.join([row.row for row in rows])
        except Exception as error:
            forks.exit_if_forked()
            return self._not_joined(rows, error)
        finally:
            forks.exit_if_forked()
        share = (time.monotonic() - began) * 1000 / len(rows)
        for row in rows:
            self._running[id(row.row)] = row
            row.compute_ms = share - self._shares
            row.steps, row.rows = -self._steps, -self._rows
        rows[0].waited_ms, self._idle_ms = self._idle_ms, 0.0
        return []

    def _not_joined(self, rows: Sequence[EngineRow], error: Exception) -> Sequence[EngineRow]:
        """Lets each row join alone; a row that cannot fails, or waits if others may use its memory."""
        for row in rows:
            with contextlib.suppress(Exception):  # it may not have joined
                self._pipeline.leave(row.row)
        if len(rows) > 1:
            for index, row in enumerate(rows):
                if self._join([row]):
                    return rows[index:]
        elif self._running and is_shortage(error):
            self._short_of_memory = True
            return rows
        else:
            self._writer.failed(rows, error)
        return []

    def _step(self) -> None:
        began = time.monotonic()
        try:
            progress = self._pipeline.step()
        except Exception as error:
            forks.exit_if_forked()
            rows = list(self._running.values())
            for row in rows:
                self._leave(row)
            self._writer.failed(rows, error)
            return
        finally:
            forks.exit_if_forked()
        now, count = time.monotonic(), len(self._running)
        self._shares += (now - began) * 1000 / count
        self._steps += 1
        self._rows += count
        for each in progress:
            self._advance(each)
        if self._running and now - self._reported >= ALIVE_SECONDS:
            self._reported = now
            row = next(iter(self._running.values()))
            self._writer.send([(row.id, Partial("", row.tokens))])

    def _advance(self, progress: Progress) -> None:
        row = self._running[id(progress.row)]
        row.tokens = progress.tokens
        if progress.error is None and row.stream and progress.text:
            # a lone surrogate cannot be sent; it fails the row alone when its output is encoded
            text = progress.text.encode(errors="replace").decode()
            self._writer.put(row, Partial(text, progress.tokens))
        if progress.error is not None or progress.done:
            del self._running[id(progress.row)]
            self._short_of_memory = False
            row.compute_ms += self._shares
            row.steps += self._steps
            row.rows += self._rows
            if progress.error is not None:
                self._writer.failed([row], progress.error)
            else:
                self._writer.done(row)


def _joining_tokens(row: Row) -> int:
    """Returns how many tokens are computed when a row joins, as far as it is known."""
    return getattr(row, "joining_tokens", None) or getattr(row, "prompt_tokens", None) or 0
