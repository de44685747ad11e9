"""Faults to inject into a stack, one at a time: when its coroutine returns, each is done and undone.

`hostility.py` has the faults of clients and classes.
"""

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress

from tests.faults.stack import Stack, engine_of

Harm = Callable[[Stack, random.Random], Awaitable[set[str] | None]]
"""Returns the ids of the jobs that it submitted, if any. Raises AssertionError if they ended wrongly."""


async def engine_killed(stack: Stack, chance: random.Random) -> None:
    engine = engine_of(chance.choice(stack.workers))
    with suppress(ProcessLookupError):
        if engine is not None:
            os.kill(engine, signal.SIGKILL)


async def worker_killed(stack: Stack, chance: random.Random) -> None:
    await _replace_worker(stack, chance, signal.SIGKILL)


async def worker_stopped_in_order(stack: Stack, chance: random.Random) -> None:
    await _replace_worker(stack, chance, signal.SIGTERM)


async def worker_asleep_past_its_lease(stack: Stack, chance: random.Random) -> None:
    worker = chance.choice(stack.workers)
    worker.send_signal(signal.SIGSTOP)
    await asyncio.sleep(stack.queue.settings.lease + 2)
    worker.send_signal(signal.SIGCONT)


async def api_killed(stack: Stack, chance: random.Random) -> None:
    await _replace_api(stack, chance, signal.SIGKILL)


async def api_stopped_in_order(stack: Stack, chance: random.Random) -> None:
    await _replace_api(stack, chance, signal.SIGTERM)


async def redis_killed(stack: Stack, chance: random.Random) -> None:
    await asyncio.to_thread(stack.server.kill)
    await asyncio.sleep(chance.uniform(0, 2))
    await asyncio.to_thread(stack.server.start)


async def redis_asleep(stack: Stack, chance: random.Random) -> None:
    stack.server.signal(signal.SIGSTOP)
    await asyncio.sleep(chance.uniform(0.5, 8))
    stack.server.signal(signal.SIGCONT)


async def redis_full(stack: Stack, chance: random.Random) -> None:
    await stack.redis.config_set("maxmemory", 1_000_000)
    await asyncio.sleep(chance.uniform(0.5, 3))
    await stack.redis.config_set("maxmemory", 0)


async def network_parted(stack: Stack, chance: random.Random) -> None:
    stack.proxy.part()
    await asyncio.sleep(chance.uniform(0.5, 10))
    stack.proxy.heal()


async def connections_reset(stack: Stack, chance: random.Random) -> None:
    for _ in range(chance.randint(1, 5)):
        stack.proxy.reset()
        await asyncio.sleep(chance.uniform(0, 0.5))


async def connections_half_closed(stack: Stack, chance: random.Random) -> None:
    stack.proxy.half_close()


async def answers_cut(stack: Stack, chance: random.Random) -> None:
    stack.proxy.cut_after = chance.randint(1, 5_000)
    stack.proxy.reset()
    await asyncio.sleep(chance.uniform(0.5, 3))
    stack.proxy.cut_after = None


async def network_slow(stack: Stack, chance: random.Random) -> None:
    stack.proxy.delay = chance.uniform(0.01, 0.1)
    await asyncio.sleep(chance.uniform(0.5, 3))
    stack.proxy.delay = 0.0


ALL: tuple[Harm, ...] = (
    engine_killed,
    worker_killed,
    worker_stopped_in_order,
    worker_asleep_past_its_lease,
    api_killed,
    api_stopped_in_order,
    redis_killed,
    redis_asleep,
    redis_full,
    network_parted,
    connections_reset,
    connections_half_closed,
    answers_cut,
    network_slow,
)


async def _replace_worker(stack: Stack, chance: random.Random, number: signal.Signals) -> None:
    worker = stack.workers.pop(chance.randrange(len(stack.workers)))
    worker.send_signal(number)
    stack.start_worker()  # at once, as a supervisor would, and beside the one that is stopping
    await asyncio.to_thread(worker.wait, 60)


async def _replace_api(stack: Stack, chance: random.Random, number: signal.Signals) -> None:
    url = chance.choice(list(stack.apis))
    stack.apis[url].send_signal(number)
    await asyncio.to_thread(stack.apis[url].wait, 60)
    stack.start_api(int(url.rpartition(":")[2]))
