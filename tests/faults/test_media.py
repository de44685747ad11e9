"""Deaths around media and files: nothing is lost, nothing is left, and every answer has its files."""

import asyncio
import base64
import signal
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.ledger import beside, keys
from tests.conftest import keys_without_lifetime
from tests.faults.scenario import Scenario, scenario
from tests.worker.pictures import picture, shown

IMAGES: dict[str, Any] = {"pipeline": "tests.worker.pictures:Pictures", "input": "image"}
QUICK = {"lease": 2.0, "renew_every": 0.5}
PICTURE = picture("a")
BODY = {"inputs": [base64.b64encode(PICTURE).decode()]}
KEY = {"idempotency-key": "key"}


async def end_of(client: httpx.AsyncClient, job_id: str) -> dict[str, Any]:
    """The job at its end, whose file is what its answer says."""
    job: dict[str, Any] = (await client.get(f"/v1/jobs/{job_id}?wait=60")).json()
    assert job["status"] == "succeeded", job
    [result] = job["results"]
    for link, content in zip(result["output"]["files"], (shown(PICTURE), b"w" * 100), strict=True):
        file = await client.get(link["url"])
        assert (file.status_code, file.content) == (200, content)
        assert file.headers["content-type"] == link["content_type"]
    return job


async def nothing_left(run: Scenario) -> None:
    await run.nothing_left()
    assert await run.stack.redis.keys(keys.MEDIA.pattern) == []


async def test_a_worker_dies_between_the_files_and_the_record(tmp_path: Path) -> None:
    async with scenario(tmp_path, workers=0, model=IMAGES, **QUICK) as run:
        [url] = run.stack.apis
        async with httpx.AsyncClient(base_url=url, timeout=90) as client:
            job_id = (await client.post("/v1/jobs", json=BODY)).json()["id"]
            victim = run.stack.start_worker(crash_at="after_files")
            assert await asyncio.to_thread(victim.wait, 60) == -signal.SIGKILL
            run.stack.workers.remove(victim)
            left = await run.stack.redis.keys(keys.FILES.pattern)
            assert len(left) == 1
            assert (await client.get(f"/v1/jobs/{job_id}")).json()["results"] is None
            run.stack.start_worker()
            await end_of(client, job_id)
            await nothing_left(run)


async def test_the_api_dies_between_the_upload_and_the_submit(tmp_path: Path) -> None:
    async with scenario(tmp_path, model=IMAGES, **QUICK) as run:
        [url], redis = run.stack.apis, run.stack.redis
        dying = await run.stack.api(crash_at="after_upload")
        async with httpx.AsyncClient(base_url=dying, timeout=60) as client:
            with pytest.raises(httpx.TransportError):
                await client.post("/v1/jobs", json=BODY, headers=KEY)
        assert await asyncio.to_thread(run.stack.apis[dying].wait, 30) == -signal.SIGKILL
        [upload] = await redis.keys(keys.UPLOAD.pattern)
        assert 0 < await redis.pttl(upload) <= beside.LIFETIME
        assert await keys_without_lifetime(redis) == []
        async with httpx.AsyncClient(base_url=url, timeout=90) as client:
            answer = await client.post("/v1/jobs", json=BODY, headers=KEY)
            assert "idempotency-replayed" not in answer.headers, "the first try left no job"
            await end_of(client, answer.json()["id"])
        await nothing_left(run)
