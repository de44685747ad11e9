"""Jobs that end or expire while a client waits, cancellations, and one idempotency key used many times."""

import asyncio
import itertools
from collections import Counter
from pathlib import Path
from random import Random

import httpx
import pytest
from httpx_sse import aconnect_sse

from jobs.ledger import keys
from jobs.problem_kinds import TYPE
from tests.faults.clients import nonces
from tests.faults.scenario import Scenario, scenario
from tests.faults.stack import MODEL
from tests.gate import Gate
from tests.ledger import JobQueue, run_one
from tests.waiting import until

LIFETIME = 0.5


def is_gone(response: httpx.Response) -> bool:
    return response.status_code == 410 and response.json()["type"] == TYPE + "job-gone"


@pytest.mark.parametrize("event", ["late", "never"])
async def test_a_lifetime_that_ends_during_the_wait(tmp_path: Path, event: str) -> None:
    """The API is cut off while its job ends and expires; it receives the event late, or never."""
    async with scenario(tmp_path, workers=0, result_ttl=LIFETIME, inline_bytes=0) as run:
        stack = run.stack
        [url] = stack.apis
        settings = stack.queue.settings.model_copy(update={"result_ttl": LIFETIME, "inline_bytes": 0})
        queue = JobQueue(stack.redis, settings, [MODEL])
        async with httpx.AsyncClient(base_url=url, timeout=60) as client:
            key = {"idempotency-key": "mine"}
            wait = asyncio.create_task(client.post("/v1/jobs?wait=60", json={"inputs": "x"}, headers=key))

            async def accepted() -> bool:
                return (await queue.depth())[MODEL].waiting == 1

            await until(accepted)
            [[job], _] = await queue.recent(1)
            path = f"/v1/jobs/{job.id}"
            waits = [wait] + [
                asyncio.create_task(client.get(f"{path}{part}?wait=60")) for part in ("", "/result") * 5
            ]
            async with aconnect_sse(client, "GET", f"{path}/events") as source:
                stream = source.aiter_sse()
                assert (await anext(stream)).event == "queued"

                async def all_parked() -> bool:
                    return f"\nbatchline_waiters {len(waits) + 1}.0\n" in (await client.get("/metrics")).text

                await until(all_parked)
                stack.proxy.part()
                assert await run_one(queue) is not None

                async def expired() -> bool:
                    return not await stack.redis.exists(await queue.key(keys.RESULT, job.id))

                await until(expired)
                if event == "never":
                    stack.proxy.reset()
                stack.proxy.heal()
                async with asyncio.timeout(30):
                    answers = await asyncio.gather(*waits)
                    left = [event.event async for event in stream]
            assert all(is_gone(answer) for answer in answers), [answer.text for answer in answers]
            assert left in ([], ["running"]), "the stream ends, and with nothing that is not so"
            for part in ("", "/result", "/events", "?wait=60"):
                assert is_gone(await client.get(path + part))
            assert is_gone(await client.delete(path))
            assert is_gone(await client.post("/v1/jobs", json={"inputs": "x"}, headers=key))


async def states(run: Scenario, ids: list[str]) -> list[str]:
    return [(await run.stack.queue.read(job_id)).status for job_id in ids]


async def test_cancelling_in_every_state(tmp_path: Path, gate: Gate) -> None:
    """Finished, running, in a worker's window, waiting; by two clients at once, at two APIs."""
    async with scenario(tmp_path, apis=2, window_items=8, model={"max_batch_items": 2}) as run:
        clients, stack = run.clients, run.stack
        [done] = await clients.submit(*nonces(1, "done"))
        assert (await clients.ended())[next(iter(clients.accepted))]["status"] == "succeeded"
        [running] = await clients.submit(f"{nonces(1)[0]} {gate.text}")

        async def begun() -> bool:
            return (await stack.queue.read(running)).attempts == 1

        await until(begun)
        others = await clients.submit(*nonces(40))

        async def window_full() -> bool:
            return (await states(run, others)).count("running") >= 4

        await until(window_full)
        found = dict(zip(others, await states(run, others), strict=True))
        ahead = [job_id for job_id, state in found.items() if state == "running"][:3]
        waiting = [job_id for job_id, state in found.items() if state == "queued"][-3:]
        victims = [done, running, *ahead, *waiting]
        async with httpx.AsyncClient(timeout=30) as client:
            answers = await asyncio.gather(
                *(client.delete(f"{url}/v1/jobs/{victim}") for victim in victims for url in stack.apis)
            )
            statuses = Counter(answer.json()["status"] for answer in answers)
            assert statuses == {"succeeded": 2, "cancelled": 2 * len(victims) - 2}
            gate.open()
            texts = {job_id: text for text, job_id in clients.accepted.items()}
            cancelled = {job_id: clients.accepted.pop(texts[job_id]) for job_id in victims[1:]}
            await run.check()
            for job_id in cancelled:
                await is_cancelled(client, next(iter(stack.apis)), job_id)
                assert run.witness.ends[job_id] == {"cancelled": 1}
        assert not [job_id for job_id in waiting if texts[job_id] in stack.executions()], "never run"


async def is_cancelled(client: httpx.AsyncClient, url: str, job_id: str) -> None:
    job = (await client.get(f"{url}/v1/jobs/{job_id}")).json()
    assert (job["status"], job["results"]) == ("cancelled", None)
    result = await client.get(f"{url}/v1/jobs/{job_id}/result")
    assert (result.status_code, result.json()["type"]) == (409, TYPE + "job-cancelled")


@pytest.mark.parametrize(
    "jobs", [200, pytest.param(3_000, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])]
)
async def test_cancelling_at_any_moment(tmp_path: Path, jobs: int) -> None:
    """Half of the jobs are cancelled while all of them run: an answer to a client remains true."""
    chance = Random(jobs)
    slow = {"max_batch_items": 4, "options": {"seconds": 0.05}}
    async with scenario(tmp_path, apis=2, workers=2, model=slow) as run:
        apis = itertools.cycle(run.stack.apis)
        statuses: dict[str, str] = {}
        async with httpx.AsyncClient(timeout=30) as client:

            async def cancelled(text: str) -> None:
                [job_id] = await run.clients.submit(text)
                await asyncio.sleep(chance.uniform(0.0, 0.5))  # a random moment
                statuses[text] = (await client.delete(f"{next(apis)}/v1/jobs/{job_id}")).json()["status"]

            doomed, spared = nonces(jobs // 2), nonces(jobs - jobs // 2)
            await asyncio.gather(run.clients.submit(*spared), *(cancelled(text) for text in doomed))
            too_early = [text for text, state in statuses.items() if state == "cancelled"]
            assert set(statuses.values()) <= {"cancelled", "succeeded"}
            print(f"{len(too_early)} of {len(doomed)} cancelled in time")  # noqa: T201 - to look at
            ids = [run.clients.accepted.pop(text) for text in too_early]
            await run.check()  # jobs that were cancelled too late must have succeeded
            for job_id in ids:
                await is_cancelled(client, next(apis), job_id)
                assert run.witness.ends[job_id] == {"cancelled": 1}


async def test_one_idempotency_key_from_fifty_clients(tmp_path: Path) -> None:
    """50 requests at once, through two APIs: one job, one execution, 50 times its answer."""
    async with scenario(tmp_path, apis=2) as run:
        [text] = nonces(1)
        async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=60)) as client:
            answers = await asyncio.gather(
                *(
                    client.post(
                        f"{url}/v1/jobs?wait=30", json={"inputs": text}, headers={"idempotency-key": "one"}
                    )
                    for url, _ in zip(itertools.cycle(run.stack.apis), range(50), strict=False)
                )
            )
        assert {answer.status_code for answer in answers} == {200}
        assert len({answer.text for answer in answers}) == 1
        assert sum("idempotency-replayed" in answer.headers for answer in answers) == 49
        run.clients.accepted[text] = answers[0].json()["id"]
        await run.check()
        assert run.stack.executions() == {text: 1}
