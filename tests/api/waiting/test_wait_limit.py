"""How many requests of an owner may wait at a time: exactly in one process, within a second over several."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from api.services import Services
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.v1.test_limits import TYPE, Senders, post
from tests.waiting import until

LONG = {"wait": "50"}


async def holds(services: Services, owner: str, count: int) -> None:
    async def so_many() -> bool:
        return services.wait_limit._here[owner] == count

    await until(so_many)


async def cancelled(*tasks: "asyncio.Task[httpx.Response]") -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def test_waits_beyond_the_limit_are_refused_before_they_begin(settings: Settings) -> None:
    async with mounted(settings, resolver=Senders(waits=2)) as (client, services):
        known = (await post(client)).json()["id"]
        url, ann = f"/v1/jobs/{known}", {"x-owner": "ann"}
        waiting = [
            asyncio.create_task(post(client, params=LONG)),
            asyncio.create_task(client.get(url, params=LONG, headers=ann)),
        ]
        await holds(services, "ann", 2)
        submits = services.metrics.submitted.labels("sentiment")._value.get()
        for answer in (
            await post(client, params=LONG),
            await client.get(url, params=LONG, headers=ann),
            await client.get(f"{url}/events", headers=ann),
        ):
            assert (answer.status_code, answer.json()["type"]) == (429, TYPE + "too-many-requests")
            assert answer.json()["policy"] == "waits"
            assert answer.headers["retry-after"] == "1"
        assert services.metrics.submitted.labels("sentiment")._value.get() == submits, "nothing was accepted"
        assert services.metrics.limited.labels("waits")._value.get() == 3
        assert (await post(client)).status_code == 202, "without a wait"
        assert (await post(client, owner="bob", params={"wait": "0.01"})).status_code == 202
        await cancelled(waiting.pop())
        await holds(services, "ann", 1)
        assert (await post(client, params={"wait": "0.01"})).status_code == 202
        await cancelled(*waiting)
        await holds(services, "ann", 0)


async def test_a_replay_that_waits_is_one_wait(settings: Settings) -> None:
    async with mounted(settings, resolver=Senders(waits=1)) as (client, services):
        for _ in range(2):
            answer = await post(client, params={"wait": "0.01"}, headers={"idempotency-key": "k"})
            assert answer.status_code == 202
        await holds(services, "ann", 0)


@pytest.mark.parametrize("shards", [1, 4])
async def test_processes_learn_of_each_others_waits(settings: Settings, shards: int) -> None:
    settings = settings.model_copy(update={"shards": shards})
    async with AsyncExitStack() as stack:
        resolver = Senders(waits=1)
        (a, on_a), (b, _) = [
            await stack.enter_async_context(mounted(settings, resolver=resolver)) for _ in range(2)
        ]
        waiting = asyncio.create_task(post(a, params=LONG))
        await holds(on_a, "ann", 1)

        async def refused() -> bool:
            return (await post(b, params={"wait": "0.01"})).status_code == 429

        await until(refused)
        await cancelled(waiting)

        async def accepted() -> bool:
            return not await refused()

        await until(accepted)
