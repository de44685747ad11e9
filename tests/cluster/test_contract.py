"""The tests of the ledger that say what a queue does, on a cluster instead of one server."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from jobs.settings import Settings
from jobs.store.store import Store
from tests.cluster import nodes
from tests.cluster.routed import Routed
from tests.conftest import keys_without_lifetime
from tests.jobs.ledger import (
    test_claims,
    test_depth,
    test_listing,
    test_progress,
    test_queue,
    test_reading,
    test_stalls,
    test_upgrades,
)
from tests.jobs.ledger.test_progress import claimed
from tests.jobs.ledger.test_stalls import lapsed

__all__ = ["claimed", "lapsed"]

SHARDS = 8

for module in (
    test_claims,
    test_depth,
    test_listing,
    test_progress,
    test_queue,
    test_reading,
    test_stalls,
    test_upgrades,
):
    globals().update({name: found for name, found in vars(module).items() if name.startswith("test_")})


@pytest.fixture
def settings(cluster: nodes.Cluster, tmp_path: Path) -> Settings:
    return Settings(redis_url=cluster.url(), shards=SHARDS, data_dir=tmp_path)


@pytest.fixture
async def redis(store: Store) -> AsyncIterator[Routed]:
    """Every key must have a lifetime or be listed as permanent when the test is over."""
    client = Routed(store)
    yield client
    left = await keys_without_lifetime(client)  # type: ignore[arg-type]
    assert not left, f"keys without a lifetime: {left}"
