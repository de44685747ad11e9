"""From BATCHLINE_AUTH=off to keys and back while jobs wait: none is lost, and those without an owner are the
admins'.
"""

import asyncio
import subprocess
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import httpx

from jobs.access.api_key import ApiKey, new_secret
from jobs.access.key_store import KeyStore
from tests.api.access.keyed import bearer
from tests.faults.clients import nonces
from tests.faults.scenario import Scenario, scenario
from tests.ledger import first_shard
from tests.waiting import until

ADMIN = new_secret()
KEYS = {"auth": "keys", "admin_key": ADMIN}


class Client:
    """A client of one API process, which sends a key or none."""

    def __init__(self, url: str, secret: str = "") -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=90, headers=bearer(secret) if secret else {})

    async def submit(self, texts: Iterable[str]) -> dict[str, str]:
        """Submits each text as a job, with itself as the idempotency key; returns the ids by the texts."""
        ids = {}
        for text in texts:
            answer = await self._http.post(
                "/v1/jobs", json={"inputs": text}, headers={"idempotency-key": text}
            )
            assert answer.status_code in (200, 202), answer.text
            ids[text] = answer.json()["id"]
        return ids

    async def submit_and_wait(self, text: str) -> httpx.Response:
        headers = {"idempotency-key": text}
        return await self._http.post("/v1/jobs?wait=60", json={"inputs": text}, headers=headers)

    async def statuses(self, ids: Iterable[str]) -> set[int]:
        return {(await self._http.get(f"/v1/jobs/{job_id}")).status_code for job_id in ids}

    async def waiters(self) -> bool:
        return "batchline_waiters 1.0" in (await self._http.get("/metrics")).text

    async def listed(self) -> set[str]:
        answer = await self._http.get("/v1/jobs?limit=100")
        return {job["id"] for job in answer.json()["jobs"]}

    async def accepted(self) -> bool:
        return (await self._http.get("/v1/models")).status_code == 200

    async def succeeded(self, ids: dict[str, str]) -> list[dict[str, Any]]:
        """Waits for the ends of the jobs and checks that each has its own result."""
        jobs = []
        for text, job_id in ids.items():
            job = (await self._http.get(f"/v1/jobs/{job_id}?wait=60")).json()
            assert job["status"] == "succeeded", job
            assert job["results"][0]["output"]["nonce"] == text
            jobs.append(job)
        return jobs

    async def close(self) -> None:
        await self._http.aclose()


async def new_key(running: Scenario, owner: str) -> str:
    store = KeyStore(first_shard(running.stack.redis))
    _, secret = await store.create(ApiKey(id="", owner=owner, digest=""))
    return secret


async def stopped(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    assert await asyncio.to_thread(process.wait, 60) == 0


async def check(running: Scenario, ids: Iterable[str]) -> None:
    """One end and one execution for each job, and nothing left."""
    executions = running.stack.executions()
    assert {text: executions[text] for text in ids} == dict.fromkeys(ids, 1)
    assert running.witness.doubles() == {}
    await running.nothing_left()


async def test_a_restart_with_keys_and_back_loses_no_waiting_job(tmp_path: Path) -> None:
    async with scenario(tmp_path, workers=0) as running:
        stack = running.stack
        [off] = stack.apis
        anybody = Client(off)
        old = await anybody.submit(nonces(20, "old"))
        [waited] = nonces(1, "waited")
        wait = asyncio.create_task(anybody.submit_and_wait(waited))
        await until(anybody.waiters)
        alices_secret, bobs_secret = [await new_key(running, owner) for owner in ("alice", "bob")]
        await stopped(stack.apis[off])
        answer = await wait
        assert answer.status_code == 202, "the wait ends with the stop, and the job waits on"
        old[waited] = answer.json()["id"]

        on = await stack.api(**KEYS)
        admin, alice, bob = Client(on, ADMIN), Client(on, alices_secret), Client(on, bobs_secret)
        await until(alice.accepted)
        assert await Client(on).statuses(old.values()) == {401}
        assert await alice.statuses(old.values()) == {404}
        assert await admin.statuses(old.values()) == {200}
        assert (await alice.listed(), await admin.listed()) == (set(), set(old.values()))
        again = await alice.submit([waited + "again"])
        other = await alice.submit([waited])
        assert other[waited] not in old.values(), "an idempotency key belongs to the owner too"
        alices = again | await alice.submit(nonces(20, "alice"))
        worker = await stack.worker()
        assert {job.get("owner") for job in await admin.succeeded(old)} == {None}
        await alice.succeeded(alices | other)
        assert await bob.statuses([*old.values(), *alices.values()]) == {404}
        assert stack.executions()[waited] == 2

        await stopped(worker)
        waiting = await alice.submit(nonces(20, "back"))
        await stopped(stack.apis[on])
        off = await stack.api()
        anybody_again = Client(off)
        assert await anybody_again.statuses([*waiting.values(), *old.values()]) == {200}
        await stack.worker()
        await anybody_again.succeeded(waiting)
        del old[waited]
        await check(running, old | alices | waiting)
        for client in (anybody, admin, alice, bob, anybody_again):
            await client.close()


async def test_processes_with_and_without_keys_side_by_side(tmp_path: Path) -> None:
    """As while a deployment is rolled: both submit, and a wait at the old process gets its result."""
    async with scenario(tmp_path, workers=0) as running:
        stack = running.stack
        [off] = stack.apis
        on = await stack.api(**KEYS)
        secret = await new_key(running, "alice")
        anybody, alice, admin = Client(off), Client(on, secret), Client(on, ADMIN)
        await until(alice.accepted)
        [waited] = nonces(1, "waited")
        wait = asyncio.create_task(anybody.submit_and_wait(waited))
        await until(anybody.waiters)
        old, alices = await anybody.submit(nonces(20, "old")), await alice.submit(nonces(20, "alice"))
        with_key = Client(off, secret)
        old |= await with_key.submit(nonces(5, "early"))  # without keys a sent one is ignored
        assert await alice.statuses(old.values()) == {404}
        assert await anybody.statuses(alices.values()) == {200}
        await stack.worker()
        answer = await wait
        assert (answer.status_code, answer.json()["status"]) == (200, "succeeded")
        old[waited] = answer.json()["id"]
        await stopped(stack.apis[off])
        await admin.succeeded(old | alices)
        await alice.succeeded(alices)
        await check(running, old | alices)
        for client in (anybody, alice, admin, with_key):
            await client.close()
