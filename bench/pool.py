"""`python -m bench.pool`: compares the time of one command with redis-py's connection pool and with ours."""

import asyncio
import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import uvloop
from redis.asyncio import BlockingConnectionPool, Redis

from bench import machine
from jobs.store.pool import Pool
from tests import valkey

ROUNDS = 5
COMMANDS = 2_000


def main() -> None:
    with TemporaryDirectory() as folder, valkey.running(Path(folder)) as server:
        uvloop.run(measure(server.url()))


async def measure(url: str) -> None:
    clients = {
        name: Redis(connection_pool=pool.from_url(url))
        for name, pool in (("redis-py's pool", BlockingConnectionPool), ("ours", Pool))
    }
    taken: dict[str, list[float]] = {name: [] for name in clients}
    for _ in range(ROUNDS):
        for name, client in clients.items():
            for _ in range(COMMANDS):
                began = time.perf_counter()
                await client.ping()
                taken[name].append(time.perf_counter() - began)
    about = machine.describe()
    print(f"{about['cpu']}, {about['cores']} cores, valkey {about['valkey']}")
    for name, seconds in taken.items():
        print(f"{name:16} {median(seconds) * 1e6:4.0f} us for a PING, the median")
    await asyncio.gather(*(client.aclose(close_connection_pool=True) for client in clients.values()))


if __name__ == "__main__":
    main()
