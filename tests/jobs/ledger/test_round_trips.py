"""Commands to Redis for each step of a job, counted: a step is one script."""

from collections.abc import Awaitable, Callable

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.ledger import shards
from jobs.ledger.leasing import Claimed
from jobs.owners import Sender
from jobs.settings import Settings
from jobs.store.lua import script
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.jobs.monitored import Sent, monitored
from tests.ledger import WATCHER, JobQueue, run_one


@pytest.fixture(params=[1, 4])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update={"shards": request.param})


@pytest.fixture
async def warm(queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch) -> JobQueue:
    """A queue of a process that has run a job: the server has the scripts, and the process knows the shards.

    With several shards it also counts them and looks at them now and then; not within this test.
    """
    monkeypatch.setattr(shards, "HOME", 600.0)
    monkeypatch.setattr("jobs.ledger.admission.COUNT_EVERY", 600.0)
    job, _ = await queue.submit(new_job("first"), watcher=WATCHER)
    await queue.read(job.id)
    await queue.read(job.id, watcher=WATCHER)
    claimed, _ = await queue.claim(MODEL, 1)
    await queue.start(claimed)
    await queue.finish(MODEL, [ending(claimed[0])])
    return queue


def scripts(sent: list[Sent]) -> list[str]:
    """The names of the commands' scripts; fails if there is another command."""
    known = {script(name).digest: name for name in ("submit", "claim", "start", "finish", "read", "watch")}
    return [known[each.words[1]] for each in sent]


@pytest.mark.parametrize("watcher", ["", WATCHER])
@pytest.mark.parametrize("key", [None, "key"])
@pytest.mark.parametrize("owner", ["", "alice"])
async def test_a_submit_is_one_script_also_if_a_request_waits(
    warm: JobQueue, redis: ArqRedis, watcher: str, key: str | None, owner: str
) -> None:
    job = replace(new_job(), sender=Sender(owner))
    async with monitored(redis) as sent:
        await warm.submit(job, watcher=watcher, idempotency_key=key)
    assert scripts(sent) == ["submit"]
    await run_one(warm)


OF_A_SUBMIT = {
    **{"evalsha": 1, "time": 1, "zcard": 3, "mget": 1, "llen": 1, "exists": 1, "set": 1, "zcount": 1},
    **{"zadd": 2, "mset": 1, "zremrangebyrank": 1, "pexpire": 1},
}
OF_A_FINISH = {
    **{"evalsha": 1, "time": 1, "zcard": 2, "mget": 2, "set": 1, "strlen": 1, "hmget": 1, "zrem": 1},
    **{"del": 1, "decrby": 2, "xlen": 1},
}
"""`xlen` checks the outbox before anything is written, once for all jobs of the call."""


async def test_limits_cost_the_anonymous_owner_no_command(warm: JobQueue, redis: ArqRedis) -> None:
    """The commands within the scripts. A finish has one more than without the limit of a queue's inputs."""

    async def commands(step: Callable[[], Awaitable[object]]) -> dict[str, int]:
        await redis.config_resetstat()
        await step()
        stats = await redis.info("commandstats")
        found = {name.removeprefix("cmdstat_"): each["calls"] for name, each in stats.items()}
        return {name: calls for name, calls in found.items() if not name.startswith("config")}

    assert await commands(lambda: warm.submit(new_job())) == OF_A_SUBMIT
    claimed, _ = await warm.claim(MODEL, 1)
    assert await commands(lambda: warm.finish(MODEL, [ending(claimed[0])])) == OF_A_FINISH


async def test_a_job_takes_a_claim_a_start_and_a_finish(warm: JobQueue, redis: ArqRedis) -> None:
    """A claim of several shards first looks at those that it has not seen lately."""
    await warm.submit(new_job(), watcher=WATCHER)
    claimed: list[Claimed] = []

    async def claim() -> None:
        claimed.extend((await warm.claim(MODEL, 1))[0])

    async def finish() -> None:
        assert await warm.finish(MODEL, [ending(job) for job in claimed]) == set()

    steps: list[tuple[Callable[[], Awaitable[None]], list[str]]] = [
        (claim, ["claim"] if len(warm.shards) == 1 else ["claim"] * (len(warm.shards) + 1)),
        (lambda: warm.start(claimed), ["start"]),
        (finish, ["finish"]),
    ]
    for step, expected in steps:
        async with monitored(redis) as sent:
            await step()
        assert scripts(sent) == expected


async def test_a_claim_that_waits_is_two_commands_in_one_round_trip(warm: JobQueue, redis: ArqRedis) -> None:
    """With one shard: the claim is sent behind the pop of the doorbell."""
    await warm.submit(new_job())
    async with monitored(redis) as sent:
        assert len((await warm.claim(MODEL, 1, wait=10.0))[0]) == 1
    names = [each.name for each in sent]
    if len(warm.shards) == 1:
        assert names == ["BLPOP", "EVALSHA"]
    else:
        assert set(names) == {"EVALSHA"}, "a job was there, so nothing is waited for"


async def test_many_jobs_share_scripts(warm: JobQueue, redis: ArqRedis) -> None:
    for _ in range(10):
        await warm.submit(new_job())
    claimed, _ = await warm.claim(MODEL, 10)
    async with monitored(redis) as sent:
        await warm.start(claimed)
        await warm.finish(MODEL, [ending(job) for job in claimed])
    assert scripts(sent) == ["start", "finish"]


@pytest.mark.parametrize("watcher", ["", WATCHER])
@pytest.mark.parametrize("owner", ["", "alice"])
async def test_a_read_is_one_script(warm: JobQueue, redis: ArqRedis, watcher: str, owner: str) -> None:
    job, _ = await warm.submit(replace(new_job(), sender=Sender(owner)))
    async with monitored(redis) as sent:
        await warm.read(job.id, watcher=watcher, sees=owner)
    assert scripts(sent) == ["watch" if watcher else "read"]
    await run_one(warm)
