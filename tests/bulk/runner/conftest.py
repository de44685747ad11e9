"""A runner of batches in this process."""

import pytest
import structlog
from arq.connections import ArqRedis

from jobs.settings import Settings
from tests.bulk.runner.echoing import Echoing
from tests.bulk.runner.stand import Stand
from tests.ledger import first_shard


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """structlog's default shows locals with each traceback, which may take longer than a lease."""
    structlog.configure([structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()])


@pytest.fixture
def lines() -> Echoing:
    return Echoing()


@pytest.fixture
def stand(redis: ArqRedis, settings: Settings, lines: Echoing) -> Stand:
    # A runner that stands still for seconds must not lose its batches; `lapse` ends leases
    quick = settings.model_copy(update={"lease": 30.0, "renew_every": 0.05})
    return Stand(first_shard(redis, quick), quick, lines)
