"""Conveyor: the engine's three threads: one batch is prepared while another computes and a third is answered.

reader  receives requests and prepares them, while another computes
main    computes, one batch at a time: this is what must never wait
writer  answers: postprocesses, encodes and sends, one reply for each request, in order

To wake a thread can take longer than a small batch does. One that nothing follows until it is answered may
make its whole way in the main thread, which reads by itself after such a one, until a batch comes that others
may follow. Nobody hears of a closed socket while such a batch computes, so it must be short.

The worker has no more than two batches here, so the queues between the threads need no bounds. A thread that
fails ends the process: a request without its answer would hang its worker.
"""

import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, NoReturn, Protocol

import msgspec
from structlog.typing import FilteringBoundLogger

from jobs.errors import InvalidRequest
from worker.engine import forks, pipelines, threads
from worker.engine.protocol import (
    HEADER,
    MAX_FRAME,
    Failure,
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
"""Characters of an error that are passed on; some quote their whole input."""

_decode = msgspec.msgpack.Decoder().decode

SWITCH_SECONDS = 0.0005
"""After which a thread must let another have the interpreter; the default could stall the model for 5 ms."""


class Stream(Protocol):
    """The buffered socket, as much of it as is used."""

    def read(self, size: int, /) -> bytes: ...
    def write(self, data: bytes, /) -> int: ...
    def flush(self) -> None: ...


@dataclass(slots=True, eq=False)
class PipelinedBatch:
    """One batch on its way through the three steps."""

    id: int
    """Of its request."""
    count: int
    product: Any
    """What the last step made of it."""
    tokens: int | None = None
    padded: int | None = None
    alone: bool = False
    """Whether no other comes until it is answered."""
    withdrawn: bool = False
    refusal: Raised | Withdrawn | None = None
    """The answer, where it comes to nothing; the steps that are left do not look at it."""
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
        """`max_output`: bytes of one output's JSON; those of a batch may have twice as many together."""
        self._max_output = max_output
        self._pipeline = pipeline
        self._stream = stream
        self._log = log
        self._turns: SimpleQueue[None] = SimpleQueue()
        """For each, the reader reads, up to and with a batch that is alone."""
        self._prepared: SimpleQueue[PipelinedBatch] = SimpleQueue()
        self._computed: SimpleQueue[PipelinedBatch] = SimpleQueue()
        self._latest: PipelinedBatch | None = None
        """What a withdrawal is about."""
        self._handed = self._replied = 0
        """Batches that the writer was given, and has answered; each is counted by one thread alone."""

    def serve(self) -> NoReturn:
        """Computes for as long as the process lives, which is as long as the socket."""
        sys.setswitchinterval(SWITCH_SECONDS)
        for loop in (self._read, self._write):
            threading.Thread(target=_or_die, args=[loop, self._log], name=loop.__name__, daemon=True).start()
        free, reading = time.monotonic(), False
        while True:
            batch = self._prepared.get() if reading else self._receive()
            if not (reading or batch.alone):
                self._turns.put(None)
            reading = not batch.alone
            batch.waited_ms = (time.monotonic() - free) * 1000
            if batch.withdrawn and batch.refusal is None:
                batch.refusal = Withdrawn()
            self._step(batch, self._compute)
            if batch.count == 1 and self._prepared.empty() and self._handed == self._replied:
                self._reply(batch)  # nothing else to do: sooner than another thread would wake up
            else:
                self._handed += 1
                self._computed.put(batch)
            del batch  # its tensors must not live until the next batch comes
            free = time.monotonic()

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
        """The next batch, prepared; ends the process when the worker has closed the socket."""
        while True:
            match receive(self._stream):
                case None:
                    _end(0)
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
            ),
        )

    def _prepare(self, batch: PipelinedBatch) -> pipelines.Prepared:
        request: Run = batch.product
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
        """What has no output, or one that cannot be encoded, fails alone; a raise is the whole batch's."""
        outputs = self._pipeline.answer(batch.product)
        if len(outputs) != batch.count:
            raise ValueError(f"the pipeline returned {len(outputs)} outputs for {batch.count} inputs")
        encoded = [encode_one(output, self._max_output) for output in outputs]
        if sum(len(each) for each in encoded if isinstance(each, bytes)) > 2 * self._max_output:
            raise ValueError("the outputs of this batch are too large together")  # so it is halved
        return encoded

    def _step(self, batch: PipelinedBatch, step: Callable[[PipelinedBatch], Any]) -> None:
        if batch.refusal is not None:
            return
        try:
            batch.product = step(batch)
        except InvalidRequest as error:
            batch.refusal = Raised(str(error)[:MAX_DETAIL])
        except Exception as error:
            if batch.count == 1:  # the input at fault; larger batches are halved and come again
                self._log.exception("input raised")
            batch.refusal = Raised(f"{type(error).__name__}: {error}"[:MAX_DETAIL], is_shortage(error))
        finally:
            forks.leave_if_forked()  # the class forked, and its child came back as well


def encode_one(output: object, most: int = MAX_FRAME // 2) -> bytes | Failure:
    if isinstance(output, InvalidRequest):
        return Failure("input-failed", str(output)[:MAX_DETAIL])
    try:
        encoded = pipelines.encode_output(output)
    except MemoryError:  # not the output's fault, as a rule
        raise
    except Exception as error:
        return Failure("output-not-encodable", f"{type(error).__name__}: {error}"[:MAX_DETAIL])
    if len(encoded) > most:
        return Failure("result-too-large", f"its output has {len(encoded)} bytes; {most} are allowed")
    return encoded


def receive(stream: Stream) -> tuple[int, Request] | None:
    """The next request and its id; None when the worker has closed the socket."""
    header = stream.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    request_id, length = HEADER.unpack(header)
    return request_id, decode_request(stream.read(length))


def send(stream: Stream, request_id: int, reply: Reply) -> None:
    """Answers a request; a forked child of the engine leaves instead."""
    forks.leave_if_forked()
    stream.write(encode(request_id, reply))
    stream.flush()


def _or_die(loop: Callable[[], None], log: FilteringBoundLogger) -> None:
    try:
        threads.alone()  # the cores are for the model
        loop()
    except BaseException:
        log.exception("engine thread failed")
    _end(1)


def _end(status: int) -> NoReturn:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)  # what the model computes, nobody waits for any more
