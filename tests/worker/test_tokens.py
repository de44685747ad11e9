"""A job's and an owner's counts of tokens cover only their own inputs, also in shared micro-batches."""

from msgspec.structs import replace

from tests.ledger import JobQueue
from tests.worker.conftest import Serving
from tests.worker.engine.pipelines.conftest import ModelFolder, model_folder
from tests.worker.test_batch_worker import ended, submit
from tests.worker.test_usage import job, used

__all__ = ["model_folder"]  # a fixture


async def test_jobs_and_owners_that_share_a_batch_have_their_own_tokens(
    queue: JobQueue, serving: Serving, model_folder: ModelFolder
) -> None:
    short, _ = await queue.submit(job("alice", "the bridge"))
    long, _ = await queue.submit(job("bob", "the bridge of the river", "the bridge " * 20))
    model = {"task": "text-classification", "source": str(model_folder("text-classification"))}
    async with serving(pipeline=None, parameters={}, **model, threads=1) as worker:
        jobs = await ended(queue, short.id, long.id)
        alone = await ended(queue, await submit(queue, "the bridge"))
        together = worker.statistics.beat.tokens
        divided, _ = await queue.submit(replace(job("", "the bridge", "the"), group="batch_1"))
        await ended(queue, divided.id)
    of_lines = await queue.collecting.ended(divided.id, sees=None)
    of_one = await queue.collecting.ended(long.id, sees=None)
    assert [job.batch is not None and job.batch.size for job in jobs] == [3, 3], "they shared it"
    tokens = [job.counts.tokens or 0 for job in (*jobs, *alone)]
    assert tokens[0] == tokens[2] > 2
    assert tokens[1] > 40
    assert sum(tokens) == together, "those that were run"
    alice, bob, _ = (await used(queue)).values()
    assert [alice.tokens, bob.tokens] == tokens[:2]
    assert of_lines is not None
    assert of_one is not None
    assert (of_lines.lengths, of_one.lengths) == ([tokens[0], tokens[0] - 1], None), "of several requests"


async def test_without_counts_there_are_no_tokens(queue: JobQueue, serving: Serving) -> None:
    async with serving():
        [job] = await ended(queue, await submit(queue, "a"))
    assert job.counts.tokens is None
