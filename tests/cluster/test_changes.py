"""Changes of a cluster under load that no client may notice: slots that move, and more shards."""

import asyncio
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path

from tests.cluster import deployment, nodes
from tests.cluster.deployment import SHARDS, Deployment, shard_of
from tests.cluster.test_adapter import moves_slots
from tests.faults.clients import nonces
from tests.gate import Gate
from tests.waiting import until

MOVES = 12
FEWER, MORE = 3, 8
"""Shards before and after."""


async def submit_until(run: Deployment, stopped: asyncio.Event) -> None:
    """As one client that submits its jobs one by one, and waits for each third."""
    number = 0
    while not stopped.is_set():
        [text] = nonces(1)
        await run.clients.submit(text)
        if number % 3 == 0:
            path = f"/v1/jobs/{run.clients.accepted[text]}?wait=20"
            assert (await run.clients.insist("GET", path))["status"] == "succeeded"
        number += 1


async def accepted(run: Deployment, count: int) -> bool:
    return len(run.clients.accepted) >= count


@moves_slots
async def test_slots_move_while_jobs_run(
    cluster: nodes.Cluster, tmp_path: Path, figure: Callable[[str], None]
) -> None:
    chance, stopped = random.Random(9), asyncio.Event()
    before = {number: cluster.owner(f"{{{number}}}") for number in range(SHARDS)}
    async with deployment.running(cluster, tmp_path, model={"max_batch_items": 4}, apis=2) as run:
        async with asyncio.TaskGroup() as group:
            for _ in range(16):
                group.create_task(submit_until(run, stopped))
            for _ in range(MOVES):
                await until(partial(accepted, run, len(run.clients.accepted) + 20))
                tag = f"{{{chance.randrange(SHARDS)}}}"
                source = cluster.owner(tag)
                target = chance.choice([node for node in cluster.primaries() if node is not source])
                await asyncio.to_thread(cluster.move, tag, target)
            stopped.set()
        jobs = await run.check()
        assert run.clients.failures == {}, "no client saw an error"
        assert {shard_of(job) for job in jobs.values()} == set(range(SHARDS))
        figure(f"{MOVES} slots moved during {len(jobs)} jobs: none lost, none wrong, no request failed")
    for number, owner in before.items():
        if cluster.owner(f"{{{number}}}") is not owner:
            cluster.move(f"{{{number}}}", owner)


async def test_shards_are_added_while_jobs_wait(cluster: nodes.Cluster, tmp_path: Path, gate: Gate) -> None:
    """First one process is restarted with the new number, as the documentation says, then the others."""
    model = {"max_batch_items": 4}
    async with deployment.running(cluster, tmp_path, model=model, shards=FEWER) as run:
        await run.clients.submit(f"{nonces(1)[0]} {gate.text}")
        waiting = nonces(60)
        await run.clients.submit(*waiting)
        assert {shard_of(job) for job in run.clients.accepted.values()} == set(range(FEWER))
        key = run.clients.accepted[waiting[0]]
        await run.start_api(shards=MORE)

        async def used() -> bool:
            """Whether jobs without a key go to all shards, also from the process that was not restarted."""
            answer = await run.http.post("/v1/jobs", json={"inputs": (text := nonces(1)[0])})
            run.clients.accepted[text] = answer.raise_for_status().json()["id"]
            return {shard_of(job) for job in run.clients.accepted.values()} == set(range(MORE))

        await until(used)
        again = await run.clients.insist(
            "POST", "/v1/jobs", json={"inputs": waiting[0]}, headers={"idempotency-key": waiting[0]}
        )
        assert again["id"] == key, "keys are found where they were used"
        listed = await run.clients.insist("GET", "/v1/jobs?limit=100")
        assert {job["status"] for job in listed["jobs"]} <= {"queued", "running"}
        gate.open()
        await run.check()
        run.start_worker(shards=MORE)
        await run.clients.submit(*nonces(60))
        jobs = await run.check()
        assert run.clients.failures == {}
        assert {shard_of(job) for job in jobs.values()} == set(range(MORE))
