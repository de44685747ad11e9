"""One cluster for all tests of this folder: three primaries with a replica each."""

from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import redis

from jobs.settings import Settings
from jobs.store.store import Store, open_store
from tests.cluster import nodes


@pytest.fixture(scope="session")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[nodes.Cluster]:
    with nodes.running(tmp_path_factory.mktemp("cluster")) as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: nodes.Cluster) -> Iterator[nodes.Cluster]:
    """The shared cluster without keys."""
    yield shared_cluster
    for node in shared_cluster.nodes:
        if node not in shared_cluster.running():
            shared_cluster.restart(node)
    for node in shared_cluster.primaries():
        try:
            shared_cluster.admin(node).flushall()
        except redis.RedisError as error:
            raise AssertionError(f"{node.address} was left in a state that it cannot be used in") from error


@pytest.fixture
def settings(cluster: nodes.Cluster, tmp_path: Path) -> Settings:
    return Settings(redis_url=cluster.url(), data_dir=tmp_path)


@pytest.fixture
async def store(settings: Settings) -> AsyncIterator[Store]:
    opened = open_store(settings)
    yield opened
    await opened.aclose()


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes a measured figure in words; all are shown at the end of the test run."""
    return lambda line: record_property("measured", line)
