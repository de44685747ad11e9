"""`python -m bench.idle`: the processor time of the server that processes without work cost it.

API processes sweep each model's queue in each shard once a second. Workers do so for their model, and wait
for the doorbells of all shards. Both are only their calls to the ledger here, without a heartbeat.
"""

import argparse
import asyncio
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import structlog

from bench import machine
from jobs.ledger.rounds import Rounds
from jobs.ledger.shards import Shards
from jobs.monitoring.upkeep import Upkeep
from jobs.settings import Settings
from jobs.store.connection import cancel
from jobs.store.store import open_store
from tests import valkey

MODELS = [f"model-{number}" for number in range(6)]
SETTLED = 2.0
"""Seconds before the measurement."""


async def measure(kind: str, processes: int, shards: int, seconds: float) -> float:
    """Returns milliseconds of the server's processor time per second for one process."""
    with TemporaryDirectory() as folder, valkey.running(Path(folder)) as server:
        settings = Settings(redis_url=server.url(), shards=shards)
        stores = [open_store(settings) for _ in range(processes)]
        models = MODELS if kind == "api" else MODELS[:1]
        tasks: list[asyncio.Task[Any]] = []
        try:
            for store in stores:
                each = Shards(store, settings, models)
                await each.grow()
                tasks.append(asyncio.create_task(Upkeep(each, structlog.get_logger()).run()))
                if kind == "worker":
                    tasks.append(asyncio.create_task(_wait(Rounds(each, models[0]))))
                await asyncio.sleep(1 / processes)  # so that they do not sweep at the same moment
            await asyncio.sleep(SETTLED)
            before, began = await _seconds(stores[0].events), time.monotonic()
            await asyncio.sleep(seconds)
            used = await _seconds(stores[0].events) - before
            return used / (time.monotonic() - began) / processes * 1000
        finally:
            await cancel(*tasks)
            await asyncio.gather(*(store.aclose() for store in stores))


async def _wait(rounds: Rounds) -> None:
    try:
        while True:
            await rounds.claim(32, wait=0.5)
    finally:
        await rounds.close()


async def _seconds(redis: Any) -> float:
    told = await redis.info("cpu")
    return float(told["used_cpu_user"] + told["used_cpu_sys"])


async def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.idle")
    parser.add_argument("--processes", type=int, default=8, help="of each kind (default: 8)")
    parser.add_argument("--seconds", type=float, default=10.0, help="of each measurement (default: 10)")
    given = parser.parse_args()
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores; load before: {about['load before']}")
    print(f"ms of the server's processor time per second, for a process without work, {len(MODELS)} models")
    for kind in ("api", "worker"):
        for shards in (1, 4, 12):
            used = await measure(kind, given.processes, shards, given.seconds)
            print(f"{kind:8}{shards:3} shards{used:8.2f}", flush=True)


if __name__ == "__main__":
    asyncio.run(main())
