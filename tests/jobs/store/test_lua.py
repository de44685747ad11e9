"""Scripts on a server that does not know them, or must not run what is in them."""

from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueUnavailable
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.ledger import WATCHER, JobQueue


async def test_a_server_that_forgets_its_scripts_at_any_moment_runs_them_all_the_same(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one does that is killed and restarted between two commands."""
    send: Any = redis.execute_command

    async def forgetful(*command: Any, **options: Any) -> Any:
        await send("SCRIPT FLUSH")
        return await send(*command, **options)

    monkeypatch.setattr(redis, "execute_command", forgetful)
    job, _ = await queue.submit(new_job())
    [claimed], _ = await queue.claim(MODEL, 10)
    await queue.start([claimed])
    assert await queue.finish(MODEL, [ending(claimed)]) == set()
    assert (await queue.read(job.id)).status == "succeeded"


@pytest.mark.parametrize("command", ["zrem", "publish", "set"])
async def test_a_permission_that_is_taken_away_fails_no_job(
    queue: JobQueue, redis: ArqRedis, command: str
) -> None:
    """The queue is unavailable until it is given back, and then goes on."""
    job, _ = await queue.submit(new_job(), watcher=WATCHER)
    [claimed], _ = await queue.claim(MODEL, 10)
    await redis.acl_setuser("default", enabled=True, commands=[f"-{command}"])
    try:
        with pytest.raises(QueueUnavailable, match=f"Redis rejects.*{command}|can't run this command"):
            await queue.finish(MODEL, [ending(claimed)])
    finally:
        await redis.acl_setuser("default", enabled=True, commands=[f"+{command}"])
    await queue.finish(MODEL, [ending(claimed)])
    assert (await queue.read(job.id)).status == "succeeded"
