"""`python -m bench.arrivals`: an open-loop load generator: Arrivals on stdin, Arrived on stdout.

Requests are sent as a Poisson process, independent of earlier answers, like those of independent clients. A
latency is measured from the time at which the request was due, so that it includes all waiting at a slow
server (a closed loop omits it: "coordinated omission").
"""

import asyncio
import random
import statistics
import sys
import time
from collections import deque
from functools import partial

import msgspec
import uvloop

from bench.child import answer_parent, in_child
from bench.http import Connection, Request, post


class Arrivals(msgspec.Struct):
    port: int
    path: str
    rate: float
    """Mean requests per second."""
    count: int
    bodies: list[str]
    """Bodies of the requests, used in turn."""
    host: str = "127.0.0.1"
    requests: list[str] = []
    """Whole requests, used in turn; if there are any, `path` and `bodies` are not used."""
    status: int = 200
    """Status of a correct answer."""
    also: int = 0
    """Another status of a correct answer."""
    contains: str = ""
    """Text that a correct answer contains."""
    seed: int = 1
    most: int = 1000
    """Most requests in flight; the run ends if there are more."""
    patience: float = 60.0
    """Most seconds to wait for the last answers."""
    keep: int = 0
    """Characters of each answer to return."""
    times: bool = True
    """Whether to return `took`."""


class Arrived(msgspec.Struct):
    sent: int
    elapsed: float
    """Seconds from the time at which the first request was due to the last answer."""
    took: list[float]
    """Milliseconds from the due time to the answer, for each correct answer, in order of answers."""
    overrun: bool
    """Whether the run ended early because too many requests were in flight."""
    errors: int
    """Wrong answers, and requests without an answer."""
    error: str
    """The first error."""
    late: float
    """99th percentile of the generator's own delay in milliseconds."""
    cpu: float
    """Seconds of processor time of this process."""
    answers: dict[int, str]
    """Number of the request -> start of its answer, up to `keep` characters."""

    @property
    def p50(self) -> float:
        return statistics.median(self.took)

    @property
    def p99(self) -> float:
        return percentile(self.took, 99)


def percentile(values: list[float], percent: int) -> float:
    """Returns the smallest value that `percent` per cent of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


class Kept(Connection):
    """A connection that waits for its next request."""

    _source: "OpenLoop"

    def rest(self) -> None:
        self._source.idle.append(self)

    def wake(self) -> None:
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._source.idle:
            self._source.idle.remove(self)
        super().connection_lost(error)

    def close(self) -> None:
        self._transport.close()


class OpenLoop:
    """The Source of all connections; counts answers and errors."""

    def __init__(self, plan: Arrivals) -> None:
        self.plan = plan
        self.requests = [each.encode() for each in plan.requests] or [
            post(plan.path, body.encode()) for body in plan.bodies
        ]
        self.contains = plan.contains.encode()
        self.waiting: deque[int] = deque()
        self.idle: list[Kept] = []
        self.due: dict[int, float] = {}
        self.sent_late: list[float] = []
        self.took: list[float] = []
        self.answers: dict[int, str] = {}
        self.errors = 0
        self.error = ""
        self.overrun = False
        self.done = asyncio.Event()
        self._opening: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        chance, at = random.Random(self.plan.seed), time.perf_counter()
        for number in range(self.plan.count):
            at += chance.expovariate(self.plan.rate)
            if (pause := at - time.perf_counter()) > 0:
                await asyncio.sleep(pause)
            elif number % 32 == 0:
                await asyncio.sleep(0)  # behind schedule, but answers must still be read
            if len(self.due) >= self.plan.most:
                self.overrun = True
                break
            self.due[number] = at
            self._send(number)
        while self.due and not self.overrun:
            self.done.clear()
            try:
                await asyncio.wait_for(self.done.wait(), self.plan.patience)
            except TimeoutError:
                for number in list(self.due):
                    self.failed(Request(number, b""), f"no answer within {self.plan.patience:g} s")

    def _send(self, number: int) -> None:
        self.waiting.append(number)
        if self.idle:
            self.idle.pop().wake()
            return
        task = asyncio.get_running_loop().create_task(self._open())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self) -> None:
        opening = asyncio.get_running_loop().create_connection(
            partial(Kept, self), self.plan.host, self.plan.port
        )
        try:
            await opening
        except OSError as error:
            if (request := self.take()) is not None:
                self.failed(request, str(error))

    def take(self) -> Request | None:
        if not self.waiting:
            return None
        number = self.waiting.popleft()
        self.sent_late.append((time.perf_counter() - self.due[number]) * 1000)
        return Request(number, self.requests[number % len(self.requests)])

    def answered(self, request: Request, status: int, body: bytes, seconds: float) -> None:
        if status not in (self.plan.status, self.plan.also) or self.contains not in body:
            self.failed(request, f"{status}: {body[:300].decode(errors='replace')}")
            return
        if self.plan.keep:
            self.answers[request.number] = body[: self.plan.keep].decode(errors="replace")
        due = self.due.pop(request.number, None)
        if due is not None:  # the answer may have arrived after `patience`
            self.took.append((time.perf_counter() - due) * 1000)
        self.done.set()

    def failed(self, request: Request, reason: str) -> None:
        self.errors += 1
        self.error = self.error or reason
        self.due.pop(request.number, None)
        self.done.set()


async def generate(plan: Arrivals) -> Arrived:
    began, cpu, source = time.perf_counter(), time.process_time(), OpenLoop(plan)
    await source.run()
    elapsed = time.perf_counter() - began
    for connection in source.idle:
        connection.close()
    return Arrived(
        sent=len(source.sent_late),
        elapsed=elapsed,
        took=source.took if plan.times else [],
        overrun=source.overrun,
        errors=source.errors,
        error=source.error,
        late=percentile(source.sent_late, 99) if source.sent_late else 0.0,
        cpu=time.process_time() - cpu,
        answers=source.answers,
    )


def run(plan: Arrivals) -> Arrived:
    """Runs `generate` in its own process. Raises BenchError if that fails, but not for failed requests."""
    limit = 2 * plan.count / plan.rate + plan.patience + 60
    return in_child("bench.arrivals", msgspec.json.encode(plan), Arrived, limit)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Arrivals)
    answer_parent(lambda: uvloop.run(generate(given)))
