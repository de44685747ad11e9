"""The API with a model for each task that the dialects have calls for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from arq.connections import ArqRedis

from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.dialects.tasks.calls import MODELS, Calls
from tests.ledger import JobQueue


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(redis_url=redis_url, data_dir=tmp_path, models_file=models)


@pytest.fixture
async def calls(settings: Settings, redis: ArqRedis) -> AsyncIterator[Calls]:
    queue = JobQueue(redis, settings, ["ranker", "labels", "org/vectors", "others", "similar"])
    async with mounted(settings) as (client, services):
        yield Calls(client, services, queue)
    await queue.close()
