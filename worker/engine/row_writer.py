"""RowWriter: with continuous batching, the thread that encodes the answers of rows and sends them."""

import threading
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from queue import SimpleQueue

from structlog.typing import FilteringBoundLogger

from jobs.errors import InvalidRequest
from worker.engine import forks
from worker.engine.conveyor import Stream, encode_one, raised
from worker.engine.pipelines.continuous import ContinuousPipeline, Row
from worker.engine.pipelines.files import FileLinks
from worker.engine.protocol import Raised, Ran, Reply, encode


@dataclass(slots=True, eq=False)
class EngineRow:
    """A row in the engine, and what it has used."""

    id: int
    """The id of its request."""
    stream: bool
    link: str | None
    """The start of the addresses of its files."""
    row: Row = None
    tokens: int = 0
    """Tokens that it has generated."""
    compute_ms: float = 0.0
    waited_ms: float = 0.0
    """Time before it joined in which the model had nothing to compute."""
    steps: int = 0
    rows: float = 0.0
    """Steps that it took part in, and the sum of their rows; when it joined, minus the loop's own counts."""


class RowWriter:
    """Answers rows; the other threads of the engine only hand them over."""

    def __init__(
        self, pipeline: ContinuousPipeline, stream: Stream, log: FilteringBoundLogger, max_output: int
    ) -> None:
        self._pipeline = pipeline
        self._stream = stream
        self._log = log
        self._max_output = max_output
        self._replies: SimpleQueue[tuple[EngineRow, Reply | None]] = SimpleQueue()
        """Rows with their replies; None for a row that is done."""
        self._writing = threading.Lock()

    def put(self, row: EngineRow, reply: Reply) -> None:
        """Sends a reply after those that were put before."""
        self._replies.put((row, reply))

    def done(self, row: EngineRow) -> None:
        """Answers a row that is done."""
        self._replies.put((row, None))

    def failed(self, rows: Sequence[EngineRow], error: Exception) -> None:
        """Answers rows with an error that any of them may have caused."""
        if not isinstance(error, InvalidRequest):
            self._log.error("pipeline raised", rows=len(rows), exc_info=error)
        reply = raised(error)
        reply.rows = len(rows)
        for row in rows:
            self.put(row, reply)

    def run(self) -> None:
        """Answers for ever."""
        while True:
            answers = [self._replies.get()]
            while not self._replies.empty():
                answers.append(self._replies.get_nowait())
            self.send([(row.id, reply or self._answer(row)) for row, reply in answers])
            del answers

    def _answer(self, row: EngineRow) -> Ran | Raised:
        files = FileLinks(row.link) if row.link else None
        try:
            encoded = encode_one(self._pipeline.output(row.row), self._max_output, files)
        except Exception as error:
            self._log.exception("pipeline raised on one input")
            return raised(error)
        finally:
            forks.exit_if_forked()
        tokens = getattr(row.row, "prompt_tokens", None)
        return Ran(
            [encoded],
            row.compute_ms,
            row.waited_ms,
            tokens,
            tokens,
            row.tokens,
            {0: files.files} if files and files.files and isinstance(encoded, bytes) else {},
            row.rows / row.steps if row.steps else 1.0,
        )

    def send(self, replies: Iterable[tuple[int, Reply]]) -> None:
        """Sends frames at once, from any thread; a forked child of the engine exits instead."""
        frames = b"".join([encode(request_id, reply) for request_id, reply in replies])
        forks.exit_if_forked()
        with self._writing:
            self._stream.write(frames)
            self._stream.flush()
