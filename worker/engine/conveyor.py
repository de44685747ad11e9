"""Conveyor: the engine's three threads: one batch is prepared while another computes and a third is answered.

reader  receives requests and prepares them, while another batch computes
main    computes, one batch at a time; it must never wait
writer  answers: postprocesses, encodes and sends one reply for each request, in order

Waking a thread can take longer than a small batch. So a batch that is `alone` (no other follows until it is
answered) may be handled completely in the main thread, which then also reads, until a batch arrives that is
not `alone`. A closed socket is not detected while such a batch computes, so it must be short.

The worker sends at most two batches, so the queues between the threads need no bounds. A thread that fails
ends the process, because a request without an answer would hang its worker.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any, NoReturn, Protocol

import msgspec
from structlog.typing import FilteringBoundLogger

from jobs.errors import InvalidRequest
from worker.engine import forks, pipelines, threads
from worker.engine.pipelines.files import FileLinks
from worker.engine.protocol import (
    HEADER,
    MAX_FRAME,
    Failure,
    OutputFile,
    Raised,
    Ran,
    Reply,
    Request,
    Run,
    Withdraw,
    Withdrawn,
    decode_request,
    encode,
)
from worker.engine.shortage import is_shortage

MAX_DETAIL = 500
"""Maximum characters of an error message; some quote their whole input."""

_decode = msgspec.msgpack.Decoder().decode

SWITCH_SECONDS = 0.0005
"""After this time a thread must yield the interpreter; the default could stall the model for 5 ms."""


class Stream(Protocol):
    """The methods of the buffered socket that are used."""

    def read(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


@dataclass(slots=True, eq=False)
class PipelinedBatch:
    """One batch on its way through the three steps."""

    id: int
    """The id of its request."""
    count: int
    product: Any
    """The result of the last step."""
    links: list[str] = field(default_factory=list)
    """For each input the start of the addresses of its files."""
    files: dict[int, list[OutputFile]] = field(default_factory=dict)
    tokens: int | None = None
    padded: int | None = None
    alone: bool = False
    """Whether no other batch is sent until it is answered."""
    withdrawn: bool = False
    refusal: Raised | Withdrawn | None = None
    """The answer if the batch failed or was withdrawn; the remaining steps are skipped."""
    compute_ms: float = 0.0
    waited_ms: float = 0.0
    steps: int = 0


class Conveyor:
    """Serves one pipeline on one socket."""

    def __init__(
        self,
        pipeline: pipelines.LoadedPipeline,
        stream: Stream,
        log: FilteringBoundLogger,
        max_output: int = MAX_FRAME // 2,
    ) -> None:
        """`max_output`: maximum bytes of one output's JSON; a batch may have twice as many in total."""
        self._max_output = max_output
        self._pipeline = pipeline
        self._stream = stream
        self._log = log
        self._turns: SimpleQueue[None] = SimpleQueue()
        """For each entry, the reader reads until it has read a batch that is `alone`."""
        self._prepared: SimpleQueue[PipelinedBatch] = SimpleQueue()
        self._computed: SimpleQueue[PipelinedBatch] = SimpleQueue()
        self._latest: PipelinedBatch | None = None
        """The batch that a withdrawal refers to."""
        self._handed_over = self._replied = 0
        """Batches that were handed to the writer, and that it answered; each is counted by one thread only.
        """

    def serve(self) -> NoReturn:
        """Computes until the socket closes, which ends the process."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for loop in (self._read, self._write):
            threading.Thread(
                target=run_or_exit, args=[loop, self._log], name=loop.__name__, daemon=True
            ).start()
        idle_since, reading = time.monotonic(), False
        while True:
            batch = self._prepared.get() if reading else self._receive()
            if not (reading or batch.alone):
                self._turns.put(None)
            reading = not batch.alone
            batch.waited_ms = (time.monotonic() - idle_since) * 1000
            if batch.withdrawn and batch.refusal is None:
                batch.refusal = Withdrawn()
            self._step(batch, self._compute)
            if batch.count == 1 and self._prepared.empty() and self._handed_over == self._replied:
                self._reply(batch)  # the writer is idle; waking it would take longer
            else:
                self._handed_over += 1
                self._computed.put(batch)
            del batch  # frees its tensors before the next batch arrives
            idle_since = time.monotonic()

    def _read(self) -> None:
        while True:
            self._turns.get()
            alone = False
            while not alone:
                batch = self._receive()
                alone = batch.alone
                self._prepared.put(batch)
                del batch

    def _receive(self) -> PipelinedBatch:
        """Returns the next batch, prepared; ends the process if the worker has closed the socket."""
        while True:
            match receive(self._stream):
                case None:
                    end_process(0)
                case request_id, Withdraw():
                    if self._latest is not None and self._latest.id == request_id:
                        self._latest.withdrawn = True
                case request_id, Run(alone=alone) as request:
                    self._latest = PipelinedBatch(request_id, len(request.inputs), request, alone=alone)
                    self._step(self._latest, self._prepare)
                    return self._latest

    def _write(self) -> None:
        while True:
            self._reply(self._computed.get())
            self._replied += 1

    def _reply(self, batch: PipelinedBatch) -> None:
        self._step(batch, self._answer)
        send(
            self._stream,
            batch.id,
            batch.refusal
            or Ran(
                batch.product,
                batch.compute_ms,
                batch.waited_ms,
                batch.tokens,
                batch.padded,
                batch.steps,
                batch.files,
            ),
        )

    def _prepare(self, batch: PipelinedBatch) -> pipelines.Prepared:
        request: Run = batch.product
        batch.links = request.links
        prepared = self._pipeline.prepare([_decode(item) for item in request.inputs], request.parameters)
        batch.tokens, batch.padded = prepared.tokens, prepared.padded
        return prepared

    def _compute(self, batch: PipelinedBatch) -> Any:
        began = time.monotonic()
        computed = self._pipeline.compute(batch.product)
        batch.compute_ms = (time.monotonic() - began) * 1000
        batch.steps = self._pipeline.steps
        return computed

    def _answer(self, batch: PipelinedBatch) -> list[bytes | Failure]:
        """Encodes the outputs: a bad output fails its input only, an exception fails the whole batch."""
        outputs = self._pipeline.answer(batch.product)
        if len(outputs) != batch.count:
            raise ValueError(f"the pipeline returned {len(outputs)} outputs for {batch.count} inputs")
        encoded = []
        total = 0
        for index, output in enumerate(outputs):
            files = FileLinks(batch.links[index]) if batch.links else None
            encoded.append(encode_one(output, self._max_output, files))
            if isinstance(encoded[-1], bytes):
                total += len(encoded[-1])
                if files and files.files:
                    batch.files[index] = files.files
                    total += files.bytes
        if total > 2 * self._max_output:
            raise ValueError("the outputs of this batch are too large in total")  # so that it is halved
        return encoded

    def _step(self, batch: PipelinedBatch, step: Callable[[PipelinedBatch], Any]) -> None:
        if batch.refusal is not None:
            return
        try:
            batch.product = step(batch)
        except Exception as error:
            if batch.count == 1 and not isinstance(error, InvalidRequest):  # a larger batch is halved
                self._log.exception("pipeline raised on one input")
            batch.refusal = raised(error)
        finally:
            forks.exit_if_forked()  # if the class forked, its child must not continue here


def raised(error: Exception) -> Raised:
    """The answer to a request on which the pipeline raised."""
    if isinstance(error, InvalidRequest):
        return Raised(str(error)[:MAX_DETAIL])
    return Raised(f"{type(error).__name__}: {error}"[:MAX_DETAIL], is_shortage(error))


def encode_one(
    output: object, limit: int = MAX_FRAME // 2, files: FileLinks | None = None
) -> bytes | Failure:
    """Returns the output's JSON, or why it has none. Its files count towards the limit."""
    if isinstance(output, InvalidRequest):
        return Failure("input-failed", str(output)[:MAX_DETAIL])
    try:
        encoded = pipelines.encode_output(output, files)
    except MemoryError:  # usually not caused by the output
        raise
    except Exception as error:
        return Failure("output-not-encodable", f"{type(error).__name__}: {error}"[:MAX_DETAIL])
    size = len(encoded) + (files.bytes if files else 0)
    if size > limit:
        return Failure("result-too-large", f"the output has {size} bytes, more than the limit of {limit}")
    return encoded


def receive(stream: Stream) -> tuple[int, Request] | None:
    """Returns the next request and its id; None if the worker has closed the socket."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    request_id, length = HEADER.unpack(header)
    return request_id, decode_request(stream.read(length))


def send(stream: Stream, request_id: int, reply: Reply) -> None:
    """Answers a request; a forked child of the engine exits instead."""
    forks.exit_if_forked()
    stream.write(encode(request_id, reply))
    stream.flush()


def run_or_exit(loop: Callable[[], None], log: FilteringBoundLogger) -> None:
    """Runs a thread's loop; its end is the end of the process."""
    try:
        threads.use_one_thread()  # the cores are for the model
        loop()
    except BaseException:
        log.exception("engine thread failed")
    end_process(1)


def end_process(status: int) -> NoReturn:
    """Ends the process at once."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # no one waits for the model's results any more
