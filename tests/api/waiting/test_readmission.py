"""A request that waits is admitted again when it reads its job again, and ends if its caller is not."""

import asyncio

import httpx
import pytest
from starlette.types import Scope

from api.access.caller import Caller
from api.problems.problem import Refusal
from jobs.errors import QueueUnavailable
from jobs.owners import Sender
from jobs.settings import Settings
from tests.api.api_process import mounted, parked
from tests.ledger import JobQueue, run_one
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_rereading")


class Revocable:
    """The caller is Alice until `now` is another caller or an exception."""

    def __init__(self) -> None:
        self.now: Caller | Exception = Caller(Sender("alice"), frozenset({"submit", "read"}))
        self.asked = 0

    async def resolve(self, scope: Scope) -> Caller:
        await asyncio.sleep(0)
        self.asked += 1
        if isinstance(self.now, Exception):
            raise self.now
        return self.now


SOON = 30.0
"""Seconds in which a wait must read its job again, which is for 60."""

REVOKED = Refusal("cross-site", "the key was revoked")
SOMEBODY_ELSE = Caller(Sender("bob"), frozenset({"submit", "read"}))

WAITS = ["/v1/jobs/{}?wait=60", "/v1/jobs/{}/result?wait=60"]


async def submitted(client: httpx.AsyncClient) -> str:
    return str((await client.post("/v1/jobs", json={"inputs": "x"})).json()["id"])


@pytest.mark.parametrize(("then", "status"), [(REVOKED, 403), (SOMEBODY_ELSE, 404)])
async def test_waits_end_when_the_caller_is_no_longer_admitted(
    settings: Settings, queue: JobQueue, then: Caller | Exception, status: int
) -> None:
    resolver = Revocable()
    async with mounted(settings, resolver=resolver) as (client, services):
        job_id = await submitted(client)
        waits = [asyncio.create_task(client.get(path.format(job_id))) for path in WAITS]
        again = client.post("/v1/jobs?wait=60", json={"inputs": "y"})
        waits.append(asyncio.create_task(again))
        await parked(services, 3)
        resolver.now = then
        services.subscriber.reread_all()
        async with asyncio.timeout(SOON):
            answers = await asyncio.gather(*waits)
        assert [answer.status_code for answer in answers] == [status] * 3
        await parked(services, 0)
        assert (await queue.read(job_id)).status == "queued", "the job goes on"


@pytest.mark.parametrize("then", [REVOKED, SOMEBODY_ELSE])
async def test_a_stream_ends_when_the_caller_is_no_longer_admitted(
    settings: Settings, queue: JobQueue, then: Caller | Exception
) -> None:
    """Its answer has begun; when the client reconnects, it gets the reason."""
    resolver = Revocable()
    async with mounted(settings, resolver=resolver) as (client, services):
        job_id = await submitted(client)
        stream = asyncio.create_task(client.get(f"/v1/jobs/{job_id}/events"))
        await parked(services)
        resolver.now = then
        services.subscriber.reread_all()
        async with asyncio.timeout(SOON):
            assert (await stream).status_code == 200
        await parked(services, 0)


async def test_the_end_that_an_event_reports_does_not_name_the_owner(
    settings: Settings, queue: JobQueue
) -> None:
    async with mounted(settings, resolver=Revocable()) as (client, services):
        job_id = await submitted(client)
        paths = [f"/v1/jobs/{job_id}?wait=60", f"/v1/jobs/{job_id}/events"]
        waits = [asyncio.create_task(client.get(path)) for path in paths]
        await parked(services, 2)
        await run_one(queue)
        async with asyncio.timeout(SOON):
            answers = await asyncio.gather(*waits)
        for answer in answers:
            assert '"status":"succeeded"' in answer.text
            assert "alice" not in answer.text


async def test_a_wait_goes_on_while_the_keys_cannot_be_read(settings: Settings, queue: JobQueue) -> None:
    resolver = Revocable()
    alice = resolver.now
    async with mounted(settings, resolver=resolver) as (client, services):
        job_id = await submitted(client)
        wait = asyncio.create_task(client.get(WAITS[0].format(job_id)))
        await parked(services)
        asked, resolver.now = resolver.asked, QueueUnavailable("x")
        services.subscriber.reread_all()

        async def refused() -> bool:
            return resolver.asked > asked

        await until(refused)
        resolver.now = alice
        await run_one(queue)
        async with asyncio.timeout(SOON):
            assert (await wait).json()["status"] == "succeeded"
