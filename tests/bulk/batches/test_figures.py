"""What the metrics show of files and batches."""

import time

import pytest
from arq.connections import ArqRedis

from bulk.batches import keys
from bulk.batches.batch import BatchState
from bulk.batches.figures import ENDED, UNFINISHED
from bulk.files import keys as file_keys
from jobs.errors import QueueDamaged
from jobs.ledger.keys import Key
from tests.bulk.batches.table import PART, Table, asked


async def test_nothing(table: Table) -> None:
    found = await table.batches.figures()
    assert found.unfinished == dict.fromkeys(UNFINISHED, 0)
    assert found.ended == dict.fromkeys(ENDED, 0)
    assert found.lines == {"completed": 0, "failed": 0}
    assert (found.oldest_ms, found.stored, found.processes) == (0, 0, 0)


@pytest.mark.parametrize("state", BatchState)
async def test_a_batch_counts_in_its_state(table: Table, redis: ArqRedis, state: BatchState) -> None:
    taken = await table.taken("alice")
    await table.bring(taken, state)
    found = await table.batches.figures()
    assert found.unfinished == {each: int(each is state) for each in UNFINISHED}
    assert found.ended == {each: int(each is state) for each in ENDED}
    assert bool(await redis.zcard(table.shard.key(keys.STATES))) is not state.terminal


async def test_lines_bytes_and_processes(table: Table, redis: ArqRedis) -> None:
    taken = await table.taken()
    await table.begin(taken)
    for _ in range(2):
        await table.runs.chunk_done(taken, 0, PART)
    await redis.hset(table.shard.key(file_keys.STORED), mapping={"alice": 2**40, "bob": 7})  # type: ignore[misc]
    now, lost = time.time(), time.time() - 60
    await redis.zadd(table.shard.key(keys.PROCESSES), {"host 1": now, "host 2": now, "host 3": lost})
    await redis.expire(table.shard.key(keys.PROCESSES), 60)
    found = await table.batches.figures()
    assert found.lines == {"completed": PART.completed, "failed": PART.failed}
    assert (found.stored, found.processes) == (2**40 + 7, 2)


async def test_the_oldest_counts_whatever_its_state(table: Table, redis: ArqRedis) -> None:
    old = await table.taken()
    await redis.hset(
        table.shard.key(keys.BATCH, old.batch.id), "created_at", str(old.batch.created_at - 60_000)
    )  # type: ignore[misc]
    await table.begin(old)
    await table.batches.create(asked())
    assert 60_000 <= (await table.batches.figures()).oldest_ms < 120_000


async def test_a_batch_whose_record_was_deleted_counts_no_more(table: Table, redis: ArqRedis) -> None:
    batch = await table.batches.create(asked())
    await redis.delete(table.shard.key(keys.BATCH, batch.id))
    assert await table.runs.take() is None
    found = await table.batches.figures()
    assert (sum(found.unfinished.values()), found.oldest_ms) == (0, 0)


@pytest.mark.parametrize("key", [keys.STATES, keys.COUNTS])
async def test_a_foreign_value_leaves_no_half_transition(table: Table, redis: ArqRedis, key: Key) -> None:
    taken = await table.taken()
    await table.begin(taken)
    await redis.set(table.shard.key(key), "foreign")
    for change in (
        table.runs.chunk_done(taken, 0, PART),
        table.bring(taken, BatchState.FAILED),
    ):
        with pytest.raises(QueueDamaged):
            await change
    await redis.delete(table.shard.key(key))
    batch = await table.batches.retrieve(taken.batch.id, sees=None)
    assert (batch.status, batch.counts.completed, batch.faults) == (BatchState.IN_PROGRESS, 0, ())
    assert await table.runs.parts(batch) == {}
