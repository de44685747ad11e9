"""An API with a model for each of OpenAI's calls; the tests end its jobs in place of a worker."""

from collections.abc import AsyncIterator

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.ledger import JobQueue

MODELS = """
[models.vectors]
task = "feature-extraction"
source = "no/such/folder"
dimensions = [4, 8]
max_input_chars = 100

[models."org/pooled"]
task = "feature-extraction"
source = "no/such/folder"
aliases = ["pooled"]
defaults = { pooling = "cls" }

[models.toxic]
task = "text-classification"
source = "no/such/folder"

[models.mood]
task = "text-classification"
source = "no/such/folder"
flagged_labels = ["bad"]

[models.writer]
task = "text-generation"
source = "no/such/folder"
"""
NAMES = ("vectors", "org/pooled", "toxic", "mood", "writer")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    settings.models_file.write_text(MODELS)
    return settings


@pytest.fixture
async def queue(redis: ArqRedis, settings: Settings) -> AsyncIterator[JobQueue]:
    queue = JobQueue(redis, settings, NAMES)
    yield queue
    await queue.close()


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with mounted(settings) as (client, _):
        yield client
