"""Scripts on a server that does not know them."""

from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.queue import JobQueue
from tests.jobs.test_queue import MODEL, ending, new_job


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
