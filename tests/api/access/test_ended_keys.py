"""A key that is revoked or expires ends the waits and streams of its requests, and nobody else's."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from structlog.testing import capture_logs

from jobs.access.key_store import KeyStore
from jobs.problem_kinds import TYPE
from jobs.settings import Settings
from tests.api.access.keyed import Keyed, bearer, keyed
from tests.api.api_process import parked
from tests.ledger import MODEL, JobQueue, run_one

pytestmark = pytest.mark.usefixtures("no_rereading")

SLOW = {"model": MODEL, "inputs": "x"}
SOON = 30.0
"""Seconds that the end of a key may take to end its waits, which are for 60."""


async def submitted(edge: Keyed, secret: str) -> str:
    answer = await edge.client.post("/v1/jobs", json=SLOW, headers=bearer(secret))
    assert answer.status_code == 202
    return str(answer.json()["id"])


async def test_waits_of_a_revoked_key_end_with_401(settings: Settings, queue: JobQueue) -> None:
    """Its jobs go on, and the waits of the owner's other key too."""
    async with keyed(settings) as edge:
        revoked, secret = await edge.key()
        _, other = await edge.key()
        job = await submitted(edge, secret)
        waits = [
            edge.client.get(f"/v1/jobs/{job}?wait=60", headers=bearer(secret)),
            edge.client.get(f"/v1/jobs/{job}/result?wait=60", headers=bearer(secret)),
            edge.client.post("/v1/jobs?wait=60", json=SLOW, headers=bearer(secret)),
        ]
        ended = [asyncio.create_task(wait) for wait in waits]
        goes_on = asyncio.create_task(edge.client.get(f"/v1/jobs/{job}?wait=60", headers=bearer(other)))
        await parked(edge.services, 4)
        await edge.store.revoke(revoked.id)
        with capture_logs() as logs:
            async with asyncio.timeout(SOON):
                answers = await asyncio.gather(*ended)
        assert [answer.status_code for answer in answers] == [401] * 3
        assert {answer.json()["type"] for answer in answers} == {f"{TYPE}unauthorized"}
        assert "key refused" not in [line["event"] for line in logs], "no attempt was made"
        assert not goes_on.done()
        await run_one(queue)
        assert (await goes_on).json()["status"] == "succeeded"


async def test_waits_of_a_key_that_expires_end_with_401(settings: Settings, queue: JobQueue) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key(lifetime=3_600_000)
        job = await submitted(edge, secret)
        wait = asyncio.create_task(edge.client.get(f"/v1/jobs/{job}?wait=60", headers=bearer(secret)))
        await parked(edge.services, 1)
        edge.ring._store.version = _in_an_hour(edge.store)  # type: ignore[method-assign]
        async with asyncio.timeout(SOON):
            assert (await wait).status_code == 401


def _in_an_hour(store: KeyStore) -> Callable[[], Coroutine[Any, Any, tuple[str, int]]]:
    async def version() -> tuple[str, int]:
        version, now = await KeyStore.version(store)
        return version, now + 3_600_000

    return version


async def test_a_stream_of_a_revoked_key_ends_with_an_error_event(
    settings: Settings, queue: JobQueue
) -> None:
    async with keyed(settings) as edge:
        revoked, secret = await edge.key()
        job = await submitted(edge, secret)
        stream = asyncio.create_task(edge.client.get(f"/v1/jobs/{job}/events", headers=bearer(secret)))
        await parked(edge.services, 1)
        await edge.store.revoke(revoked.id)
        async with asyncio.timeout(SOON):
            text = (await stream).text
        *_, last = text.strip().split("\n\n")
        name, data = last.splitlines()
        assert name == "event: error"
        assert json.loads(data.removeprefix("data: "))["status"] == 401
        again = await edge.client.get(f"/v1/jobs/{job}/events", headers=bearer(secret))
        assert again.status_code == 401
        read = await queue.read(job, sees=None)
        assert read.status == "queued", "the job goes on"


async def test_an_earlier_secret_ends_its_waits_after_the_grace(settings: Settings, queue: JobQueue) -> None:
    async with keyed(settings) as edge:
        key, old = await edge.key()
        job = await submitted(edge, old)
        wait = asyncio.create_task(edge.client.get(f"/v1/jobs/{job}?wait=60", headers=bearer(old)))
        await parked(edge.services, 1)
        _, new = await edge.store.rotate(key.id, 0)
        async with asyncio.timeout(SOON):
            assert (await wait).status_code == 401
        assert (await edge.client.get(f"/v1/jobs/{job}", headers=bearer(new))).status_code == 200
