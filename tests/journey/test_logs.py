"""A job in the logs: its id is in the lines of API and worker."""

import asyncio
import logging
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from jobs.settings import Settings
from jobs.store.connection import connect
from jobs.store.store import Server
from tests.api.api_process import mounted
from tests.worker.conftest import MODEL, poison_spec
from worker.batch_worker import BatchWorker

MODELS = f"""
[models.{MODEL}]
pipeline = "tests.worker.poison:Poison"
parameters = {{ factor = "number" }}
"""


async def test_a_jobs_id_joins_the_lines_of_api_and_worker(
    redis_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "models.toml").write_text(MODELS)
    settings = Settings(redis_url=redis_url, models_file=tmp_path / "models.toml")
    caplog.set_level(logging.DEBUG)
    redis = connect(settings)
    with capture_logs() as lines:
        worker = BatchWorker(Server(redis), settings, poison_spec(), None)
        running = asyncio.create_task(worker.main())
        async with mounted(settings) as (client, _):
            job = (await client.post("/v1/jobs?wait=20", json={"inputs": "x"})).json()
        worker.stop()
        await asyncio.wait_for(running, 20)
        await worker.close()
    await redis.flushdb()
    await redis.aclose(close_connection_pool=True)
    about = [line for line in lines if line.get("job") == job["id"]]
    assert [line["event"] for line in about] == ["job accepted", "job claimed", "job ended"]
    assert {line["model"] for line in about} == {MODEL}
    assert about[1]["worker"] == about[2]["worker"] == worker.statistics.beat.id
