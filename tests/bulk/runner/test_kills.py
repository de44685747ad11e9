"""SIGKILL of a runner at each step of a batch; the next one continues, and each line has one outcome."""

import asyncio
import signal

from bulk.batches.batch import BatchState
from tests import processes
from tests.bulk.batches.table import lapse
from tests.bulk.runner.stand import Stand
from tests.bulk.runner.test_runner import LINES, OUTCOMES

STEPS = (
    ("before_begin", BatchState.VALIDATING, 0),
    ("after_begin", BatchState.IN_PROGRESS, 0),
    ("before_part:2", BatchState.IN_PROGRESS, 1),
    ("after_part:2", BatchState.IN_PROGRESS, 2),
    ("after_chunk:2", BatchState.IN_PROGRESS, 4),
    ("before_finalize", BatchState.IN_PROGRESS, 5),
    ("before_finish_batch", BatchState.FINALIZING, 5),
    ("after_finish_batch", BatchState.COMPLETED, 5),
)
"""Where each process is killed, and what it leaves: the state and the number of recorded chunks."""


async def test_a_batch_whose_runner_is_killed_at_every_step(stand: Stand) -> None:
    batch_id = await stand.create(LINES)
    for place, state, chunks in STEPS:
        settings = {"redis_url": stand.settings.redis_url, "data_dir": stand.settings.data_dir}
        with processes.running("tests.bulk.runner.echo_process", crash_at=place, **settings) as process:
            assert await asyncio.to_thread(process.wait, 30) == -signal.SIGKILL, place
        assert (await stand.batch(batch_id)).status is state, place
        assert len(await stand.runs.parts(await stand.batch(batch_id))) == chunks, place
        # the lease ends
        await lapse(stand.shard, batch_id)
    async with stand.runner():
        batch = await stand.ended(batch_id)
    assert batch.status is BatchState.COMPLETED
    assert await stand.outcomes(batch) == OUTCOMES
