"""The batches of a real Valkey."""

import pytest
from arq.connections import ArqRedis

from jobs.settings import Settings
from tests.bulk.batches.table import Table
from tests.ledger import first_shard


@pytest.fixture
def table(redis: ArqRedis, settings: Settings) -> Table:
    patient = settings.model_copy(update={"lease": 600.0})  # `lapse` ends leases
    return Table(first_shard(redis, patient))
