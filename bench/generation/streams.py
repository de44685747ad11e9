"""`python -m bench.generation.streams`: the load generator for streams: Streams on stdin, Streamed on stdout.

In a closed loop each client asks for the next prompt as soon as its answer is complete. With a `rate` the
requests arrive as a Poisson process, whatever became of the earlier ones, and times count from when they were
due. It counts after a warm-up until the time is over, then waits for the streams under way.
"""

import asyncio
import random
import sys
import time

import msgspec
import uvloop

from bench.child import answer_parent, in_child
from bench.errors import BenchError
from bench.generation.dialects import DIALECTS
from bench.generation.timing import Stream, Timing, timing
from bench.generation.workload import Workload

PATIENCE = 120.0
"""Most seconds to wait for streams under way."""


class Streams(msgspec.Struct):
    port: int
    dialect: str
    model: str
    workload: Workload
    seconds: float
    warm_up: float
    clients: int = 0
    """Of a closed loop."""
    rate: float = 0.0
    """Mean requests per second of Poisson arrivals."""
    passes: int = 0
    """If given, it ends after so many requests per client, not after `seconds`, and all are counted."""


class Streamed(msgspec.Struct):
    timing: Timing
    texts: dict[int, str]
    """Number of the prompt -> an answer that is complete."""


class Load:
    """All streams of one measurement."""

    def __init__(self, plan: Streams) -> None:
        self.plan = plan
        self.began = time.perf_counter()
        self.ends = self.began + plan.warm_up + plan.seconds
        self.streams: list[Stream] = []

    async def one(self, due: float) -> None:
        """Asks for the next prompt and records its stream."""
        plan, work = self.plan, self.plan.workload
        stream = Stream(len(self.streams) % len(work.prompts), due)
        self.streams.append(stream)
        number = stream.number
        pieces = DIALECTS[plan.dialect](plan.port, plan.model, work.prompts[number], work.limits[number])
        try:
            async for piece in pieces:
                stream.times.append(time.perf_counter())
                stream.counts.append(piece.tokens)
                stream.text += piece.text
            if not stream.times:
                raise BenchError("the answer was complete without any partial answer")
        except (BenchError, OSError, EOFError, ValueError, LookupError) as error:
            stream.error = f"{error or type(error).__name__}"

    async def client(self) -> None:
        sent = 0
        while sent < self.plan.passes if self.plan.passes else time.perf_counter() < self.ends:
            sent += 1
            await self.one(time.perf_counter())
            if self.streams[-1].error:
                return

    async def arrivals(self) -> None:
        chance, at = random.Random(1), self.began
        async with asyncio.TaskGroup() as group:
            while (at := at + chance.expovariate(self.plan.rate)) < self.ends:
                await asyncio.sleep(max(0.0, at - time.perf_counter()))
                group.create_task(self.one(at))

    async def run(self) -> Streamed:
        """Raises BenchError with the first error of a stream."""
        try:
            async with asyncio.timeout(self.plan.warm_up + self.plan.seconds + PATIENCE):
                if self.plan.rate:
                    await self.arrivals()
                else:
                    await asyncio.gather(*(self.client() for _ in range(self.plan.clients)))
        except TimeoutError:
            raise BenchError(f"streams did not end within {PATIENCE:g} s after the last request") from None
        if error := next((each.error for each in self.streams if each.error), ""):
            raise BenchError(error)
        since = self.began if self.plan.passes else self.began + self.plan.warm_up
        until = time.perf_counter() if self.plan.passes else self.ends
        try:
            found = timing(self.streams, since, until)
        except ValueError as error:
            raise BenchError(str(error)) from None
        return Streamed(found, {each.number: each.text for each in self.streams})


async def generate(plan: Streams) -> Streamed:
    return await Load(plan).run()


def run(plan: Streams) -> Streamed:
    """Runs `generate` in its own process. Raises BenchError, also if any stream failed."""
    limit = plan.warm_up + plan.seconds + 2 * PATIENCE
    return in_child("bench.generation.streams", msgspec.json.encode(plan), Streamed, limit)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Streams)
    answer_parent(lambda: uvloop.run(generate(given)))
