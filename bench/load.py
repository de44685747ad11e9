"""`python -m bench.load`: a closed-loop load generator in its own process: a Plan on stdin, a Load on stdout.

Clients send requests in a closed loop. After a warm-up it counts until the time is over and all bodies were
answered equally often, so that each measurement has the same mixture. Then it waits for requests in flight.
"""

import asyncio
import statistics
import sys
import time

import msgspec
import uvloop

from bench.child import answer_parent, in_child
from bench.errors import BenchError
from bench.http import Connection, Request, post
from bench.plan import Load, Plan


class ClosedLoop:
    """The Source of all connections; counts answers and errors."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        bodies = plan.media or [body.encode() for body in plan.bodies]
        self.requests = [
            Request(number, post(plan.path, body, plan.content_type)) for number, body in enumerate(bodies)
        ]
        self.contains = plan.contains.encode()
        self.keep = set(plan.keep)
        self.kept: dict[int, str] = {}
        self.taken = self.answered_count = self.errors = 0
        self.error = ""
        self.took: list[float] = []
        self.counted_bytes = 0
        self.began = time.perf_counter()
        self.counting_since: float | None = None
        self.ended: float | None = None

    def take(self) -> Request | None:
        if self.ended is not None:
            return None
        self.taken += 1
        return self.requests[(self.taken - 1) % len(self.requests)]

    def answered(self, request: Request, status: int, body: bytes, seconds: float) -> None:
        self.answered_count += 1
        if status != 200 or self.contains not in body:
            self.failed(request, f"{status}: {body[:300].decode(errors='replace')}")
        elif request.number in self.keep:
            self.kept[request.number] = body.decode()
        self._count(request, seconds)

    def failed(self, request: Request, reason: str) -> None:
        self.errors += 1
        self.error = self.error or reason

    def _count(self, request: Request, seconds: float) -> None:
        if self.ended is not None:
            return
        now = time.perf_counter()
        if self.counting_since is None:
            warm = self.answered_count >= 2 * self.plan.clients and now - self.began >= self.plan.warm_up
            self.counting_since = now if warm else None
            return
        self.took.append(seconds * 1000)
        self.counted_bytes += len(request.data)
        passed, whole = now - self.counting_since, len(self.took) % len(self.requests) == 0
        if passed >= (self.plan.seconds if whole else self.plan.patience):
            self.ended = now

    def load(self) -> Load:
        if self.counting_since is None or self.ended is None or len(self.took) < 2:
            raise BenchError(f"the load ended too soon: {self.errors} errors, {self.error}")
        mean_bytes = statistics.mean(len(each.data) for each in self.requests)
        quantiles = statistics.quantiles(self.took, n=100)
        return Load(
            requests=len(self.took),
            seconds=self.ended - self.counting_since,
            passes=len(self.took) / len(self.requests),
            mixture=self.counted_bytes / len(self.took) / mean_bytes,
            p50=quantiles[49],
            p95=quantiles[94],
            p99=quantiles[98],
            longest=max(self.took),
            answered=self.answered_count,
            elapsed=time.perf_counter() - self.began,
            cpu=0.0,
            errors=self.errors,
            error=self.error,
            kept=self.kept,
        )


async def generate(plan: Plan) -> Load:
    """Runs the plan. Raises BenchError if nothing could be counted within the limit."""
    cpu, source, loop = time.process_time(), ClosedLoop(plan), asyncio.get_running_loop()
    connections: list[Connection] = []
    try:
        async with asyncio.timeout(plan.limit):
            for _ in range(plan.clients):
                opening = loop.create_connection(lambda: Connection(source), "127.0.0.1", plan.port)
                connections.append((await opening)[1])
            await asyncio.gather(*(connection.closed for connection in connections))
    except TimeoutError:
        raise BenchError(
            f"the load did not end within {plan.limit:g} s; first error: {source.error}"
        ) from None
    except OSError as error:
        raise BenchError(f"no connection to port {plan.port}: {error}") from None
    load = source.load()
    load.cpu = time.process_time() - cpu
    return load


def run(plan: Plan) -> Load:
    """Runs `generate` in its own process. Raises BenchError, also if any request failed."""
    load = in_child("bench.load", msgspec.json.encode(plan), Load, plan.limit + 30)
    if load.errors:
        raise BenchError(f"{load.errors} of {load.answered} requests failed; the first: {load.error}")
    return load


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Plan)
    answer_parent(lambda: uvloop.run(generate(given)))
