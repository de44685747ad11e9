"""A node without a replica that could take over: its shards' jobs wait, and everything else goes on."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest

from tests.cluster import deployment, nodes
from tests.cluster.deployment import SHARDS, Deployment, shard_of
from tests.faults.clients import nonces
from tests.gate import Gate
from tests.waiting import until

Found = TypeVar("Found")

SOON = 4.5
"""Seconds for what must not wait for the node, whose connections time out after five."""

TRIES = 4
"""The fastest of so many counts: any may meet a stall of the machine, but each would wait for the node."""

TURNED = 45.0
"""Seconds after which nobody waits for the node any more."""


def shards_of(cluster: nodes.Cluster, node: nodes.Node) -> list[int]:
    return [number for number in range(SHARDS) if cluster.owner(f"{{{number}}}") is node]


@contextmanager
def silent(cluster: nodes.Cluster, node: nodes.Node) -> Iterator[None]:
    """Stops a primary and its replicas: they take connections and answer nobody."""
    with ExitStack() as stopped:
        for each in (*cluster.replicas(node), node):
            stopped.enter_context(cluster.standing_still(each))
        yield


@contextmanager
def dead(cluster: nodes.Cluster, node: nodes.Node) -> Iterator[None]:
    """Kills a primary and its replicas; the primary returns with what it had on its disk."""
    killed = [node, *cluster.replicas(node)]
    for each in reversed(killed):
        cluster.kill(each)
    try:
        yield
    finally:
        for each in killed:
            each.start()
        cluster.wait(cluster.healthy)


async def submit(run: Deployment, text: str, **query: Any) -> dict[str, Any]:
    """Submits without an idempotency key, so that any shard may have the job. Raises httpx.HTTPError."""
    answer = await run.http.post("/v1/jobs", json={"inputs": text}, params=query)
    answer.raise_for_status()
    job: dict[str, Any] = answer.json()
    run.clients.accepted[text] = job["id"]
    return job


async def fill(run: Deployment, each: int) -> dict[int, list[str]]:
    """Submits at least so many jobs to each shard; returns their ids by shard."""
    found: dict[int, list[str]] = {number: [] for number in range(SHARDS)}

    async def filled() -> bool:
        job = await submit(run, nonces(1)[0])
        found[shard_of(job)].append(job["id"])
        return all(len(ids) >= each for ids in found.values())

    await until(filled)
    return found


async def soon(ask: Callable[[], Awaitable[Found]]) -> Found:
    """An answer that did not wait for the node."""
    took = []
    for _ in range(TRIES):
        began = time.monotonic()
        answer = await ask()
        took.append(time.monotonic() - began)
        if took[-1] < SOON:
            return answer
    raise AssertionError(f"{ask} waits for the node: {took} s")


async def state(run: Deployment, job_id: str) -> str:
    answer = await run.http.get(f"/v1/jobs/{job_id}")
    answer.raise_for_status()
    return str(answer.json()["status"])


@pytest.mark.parametrize(
    ("how", "first"), [(silent, False), pytest.param(silent, True, marks=pytest.mark.thorough), (dead, True)]
)
async def test_the_jobs_of_other_shards_go_on(
    cluster: nodes.Cluster,
    tmp_path: Path,
    gate: Gate,
    how: Any,
    first: bool,
    figure: Callable[[str], None],
) -> None:
    """With the first shard (`first`) the roster and the history are out of reach too."""
    lost = cluster.owner("{0}" if first else "{3}")
    out = shards_of(cluster, lost)
    reached = sorted(set(range(SHARDS)) - set(out))
    assert (0 in out) == first
    async with deployment.running(cluster, tmp_path, model={"max_batch_items": 4}) as run:
        done = await fill(run, 1)
        await run.clients.ended()
        await hold(run, gate, reached)
        waiting = await fill(run, 8)
        with how(cluster, lost):
            gate.open()
            began = time.monotonic()
            await until(lambda: accepted_elsewhere(run, reached), TURNED)
            elsewhere = time.monotonic() - began
            for number in reached:
                for job_id in waiting[number]:
                    await until(partial(ended, run, job_id), TURNED)
            figure(
                f"{how.__name__} primary of shards {out}: submits went to others after {elsewhere:.1f} s,"
                f" whose jobs had ended after {time.monotonic() - began:.1f} s"
            )
            for number in reached:
                assert await soon(partial(state, run, done[number][0])) == "succeeded"
            for _ in range(10):
                job = await soon(lambda: submit(run, nonces(1)[0], wait=30))
                assert (job["status"], shard_of(job) in reached) == ("succeeded", True)
            answer = await run.http.get("/health/ready")
            told = answer.json()
            assert (answer.status_code, told["status"]) == (200, "degraded"), told
            assert f"{', '.join(map(str, out))} cannot be reached" in told["checks"]["redis"]["reason"]
            refused = await asyncio.gather(*(run.http.get(f"/v1/jobs/{done[number][0]}") for number in out))
            assert {answer.status_code for answer in refused} == {503}
            listed = (await soon(partial(run.http.get, "/v1/jobs?limit=100"))).json()["jobs"]
            assert {shard_of(job) for job in listed} == set(reached)
        await run.check()
        await until(run.ready)


async def hold(run: Deployment, gate: Gate, reached: list[int]) -> None:
    """Occupies the engine with a job of a shard that stays within reach."""

    async def held() -> bool:
        job = await submit(run, text := f"{nonces(1)[0]} {gate.text}")
        if shard_of(job) in reached:
            return True
        del run.clients.accepted[text]
        await run.http.delete(job["urls"]["self"])
        return False

    await until(held)


async def accepted_elsewhere(run: Deployment, reached: list[int]) -> bool:
    """Whether many submits in a row, over the time in which all shards have their turn, are accepted soon."""
    seen: set[int] = set()
    while seen != set(reached):
        try:
            async with asyncio.timeout(SOON):
                job = await submit(run, nonces(1)[0])
        except (httpx.HTTPError, TimeoutError):
            return False
        seen.add(shard_of(job))
    # a whole turn may pass over a silent shard that nobody has asked yet
    return await noticed(run, set(range(SHARDS)) - set(reached))


async def noticed(run: Deployment, lost: set[int]) -> bool:
    """Whether the API has noticed which shards cannot be reached."""
    try:
        async with asyncio.timeout(SOON):
            told = (await run.http.get("/health/ready")).json()
    except (httpx.HTTPError, TimeoutError):
        return False
    reason = told["checks"]["redis"].get("reason", "")
    return f"{', '.join(map(str, sorted(lost)))} cannot be reached" in reason


async def ended(run: Deployment, job_id: str) -> bool:
    return await state(run, job_id) == "succeeded"
