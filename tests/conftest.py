"""What every test shares: one real Valkey, a database for each test, a check that nothing is left."""

import gc
import itertools
import os
import re
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pytest
from arq.connections import ArqRedis
from redis import Redis
from xdist.scheduler import LoadFileScheduling

from jobs.ledger import keys
from jobs.ledger.wire import deserialize, serialize
from jobs.settings import Settings
from jobs.store.connection import connect
from tests import redis_keys, valkey
from tests.gate import Gate
from tests.ledger import SHARDS, JobQueue

_databases = itertools.count()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--thorough", action="store_true", help="run the long forms of tests too")


# No collection of garbage looks at the thousands of tests and at the libraries, which stay until the end
gc.disable()


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


def pytest_unconfigure() -> None:
    gc.unfreeze()


CLIENTS = "tests/clients"

LONG_FOLDERS = {"clients", "cluster", "faults", "journey", "browser", "load"}


class _ByServer(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """A process gets all tests of a file; all of a folder whose tests share a slow server."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return CLIENTS if file.startswith(CLIENTS) else file


@pytest.hookimpl(optionalhook=True)  # without xdist there is no such hook
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> _ByServer:
    return _ByServer(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leaves the long forms out unless they are asked for, and begins with the folders that take long.

    So the processes that share the tests end at about the same time.
    """
    items.sort(key=lambda item: LONG_FOLDERS.isdisjoint(item.path.parts))
    if not config.getoption("--thorough"):
        long = [item for item in items if item.get_closest_marker("thorough")]
        config.hook.pytest_deselected(items=long)
        items[:] = [item for item in items if item not in long]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The figures that tests noted (`figure` in tests/faults), whichever process ran them."""
    lines = [
        line
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        for name, line in report.user_properties
        if name == "measured" and report.when == "call"
    ]
    if lines:
        terminalreporter.section("measured")
        for line in lines:
            terminalreporter.line(line)


@pytest.fixture
def tried(record_property: Callable[[str, object], None]) -> Callable[[int, str], None]:
    """Notes how many of what a test marked `attack` tries, for the table of `tests/faults/attacks.py`."""
    return lambda count, unit: record_property("tried", f"{count} {unit}")


# no deadline, for timing decides no test; the same examples in every run, for a failure must come again
hypothesis.settings.register_profile("batchline", deadline=None, derandomize=True)
hypothesis.settings.load_profile("batchline")

# httpx reads all certificates of the system for each new client, 20 ms of a processor; all can share one
# context, which is only used for https://
httpx._transports.default.create_ssl_context = cache(httpx.create_ssl_context)  # type: ignore[attr-defined]


@pytest.fixture(scope="session", autouse=True)
def _cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Measurements of engines are shared by all tests of a run; none of an earlier run is used."""
    base = tmp_path_factory.getbasetemp()
    run = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base  # the folder of all its processes
    os.environ["BATCHLINE_BACKEND"] = "torch"  # a race takes seconds at each first start
    os.environ["XDG_CACHE_HOME"] = str(run / "cache")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[valkey.Server]:
    with valkey.running(tmp_path_factory.mktemp("valkey")) as running:
        yield running


@pytest.fixture
def redis_url(server: valkey.Server) -> str:
    return empty_database(server)


def empty_database(server: valkey.Server) -> str:
    """The URL of a database that no other test uses; with many tests the numbers come again."""
    url = server.url(next(_databases) % valkey.DATABASES)
    with Redis.from_url(url) as client:
        client.flushdb()
    return url


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    return Settings(redis_url=redis_url, data_dir=tmp_path, shards=SHARDS)


@pytest.fixture
def gate(tmp_path: Path) -> Gate:
    return Gate(tmp_path)


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[ArqRedis]:
    async with checked_client(settings) as client:
        yield client


@asynccontextmanager
async def checked_client(settings: Settings) -> AsyncIterator[ArqRedis]:
    """A client; when the test is over, every key must have a lifetime or be listed as permanent."""
    client = connect(settings)
    client.job_serializer, client.job_deserializer = serialize, deserialize  # for `enqueue_job`
    yield client
    left = await keys_without_lifetime(client)
    await client.flushdb()
    await client.aclose(close_connection_pool=True)
    assert not left, f"keys without a lifetime: {left}"


@pytest.fixture
async def queue(redis: ArqRedis, settings: Settings) -> AsyncIterator[JobQueue]:
    queue = JobQueue(redis, settings, ["sentiment"])
    yield queue
    await queue.close()


async def written(client: ArqRedis) -> set[str]:
    """The keys there are, but for those of whoever sweeps and samples, which come and go."""
    return {key for key in map(bytes.decode, await client.keys("*")) if not passing(key)}


def passing(key: str) -> bool:
    """Whether a sweeper writes it, whatever a test does."""
    kinds = (keys.SWEPT, keys.HISTORY, keys.SAMPLED, keys.SAMPLING, keys.WATCHED, keys.SHARDS)
    return any(fnmatchcase(key, kind.pattern) for kind in kinds)


async def keys_without_lifetime(client: ArqRedis) -> list[str]:
    """Keys that would stay for ever and that `keys.py` does not list as permanent.

    The payload of a job that has not ended is no leak, nor are its media: they must not have a lifetime.
    """
    permanent = [key.of("*", tag) for key in redis_keys.ALL if key.permanent for tag in ("", "{*}")]
    unfinished = set()
    for queue_key in map(bytes.decode, await client.keys(keys.QUEUE.of("*"))):
        [tag] = re.findall(r"^(\{\d+\}|)", keys.model_of(queue_key))
        ids = await client.zrange(queue_key, 0, -1)
        unfinished |= {kind.of(each.decode(), tag) for each in ids for kind in (keys.JOB, keys.MEDIA)}
    left = []
    for key in map(bytes.decode, await client.keys("*")):
        known = key in unfinished or any(fnmatchcase(key, pattern) for pattern in permanent)
        if not known and await client.ttl(key) == -1:
            left.append(key)
    return left
