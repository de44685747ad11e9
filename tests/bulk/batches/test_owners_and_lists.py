"""Which owner's batch is next, who sees a batch, and pages of lists."""

import pytest
from arq.connections import ArqRedis

from bulk.batches import keys
from bulk.batches.batch import Batch, BatchState
from jobs.errors import BatchNotFound, InvalidRequest, LimitExceeded, QueueUnavailable
from jobs.settings import Settings
from jobs.store import durability
from tests.bulk.batches.table import Table, asked
from tests.ledger import first_shard


async def test_owners_take_turns(table: Table) -> None:
    for owner in ("alice", "alice", "alice", "bob", ""):
        await table.batches.create(asked(owner))
    order = []
    while (taken := await table.runs.take()) is not None:
        order.append(taken.batch.owner)
    assert order[0] == "alice"
    assert set(order[1:3]) == {"bob", ""}
    assert order[3:] == ["alice", "alice"]


async def test_nobody_sees_what_is_anothers(table: Table) -> None:
    batch = await table.batches.create(asked("alice"))
    await table.batches.create(asked())
    for sees in ("bob", ""):
        with pytest.raises(BatchNotFound):
            await table.batches.retrieve(batch.id, sees=sees)
        with pytest.raises(BatchNotFound):
            await table.batches.cancel(batch.id, sees=sees)
    assert (await table.batches.retrieve(batch.id, sees="alice")).id == batch.id
    assert [found.id for found in (await table.batches.page(9, sees="alice"))[0]] == [batch.id]
    assert len((await table.batches.page(9, sees=None))[0]) == 2
    assert (await table.batches.cancel(batch.id, sees="alice")).status is BatchState.CANCELLING


async def test_pages(table: Table) -> None:
    made = [(await table.batches.create(asked())).id for _ in range(5)]
    page, more = await table.batches.page(2, sees="")
    assert ([batch.id for batch in page], more) == ([made[4], made[3]], True)
    page, more = await table.batches.page(2, page[-1].id, sees="")
    assert ([batch.id for batch in page], more) == ([made[2], made[1]], True)
    page, more = await table.batches.page(2, page[-1].id, sees="")
    assert ([batch.id for batch in page], more) == ([made[0]], False)
    with pytest.raises(InvalidRequest, match="after"):
        await table.batches.page(2, "batch_nonsense", sees="")


async def test_an_owner_has_so_many_unfinished_batches(redis: ArqRedis, settings: Settings) -> None:
    table = Table(first_shard(redis, settings.model_copy(update={"max_open_batches": 2})))
    taken = await table.taken("alice")
    await table.batches.create(asked("alice"))
    with pytest.raises(LimitExceeded, match="2 unfinished batches"):
        await table.batches.create(asked("alice"))
    await table.batches.create(asked("bob"))
    await table.bring(taken, BatchState.FAILED)
    await table.runs.clear(taken)
    await table.batches.create(asked("alice"))


async def test_a_batch_keeps_what_was_asked(table: Table) -> None:
    given = asked("alice", metadata={"a": "ü"}, output_expires_after=3600, models=frozenset({"sentiment"}))
    batch = await table.batches.create(given)
    found: Batch = await table.batches.retrieve(batch.id, sees="alice")
    assert (found, found.asked) == (batch, given)
    assert found.expires_at - found.created_at == 86_400_000


async def test_a_batch_is_answered_when_it_is_as_durable_as_is_required(
    redis: ArqRedis, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(durability, "TIMEOUT", 0.2)
    table = Table(first_shard(redis, settings.model_copy(update={"durable_submit": "replica"})))
    with pytest.raises(QueueUnavailable, match="no replica has the change"):
        await table.batches.create(asked())


async def test_batches_are_listed_while_redis_is_full(table: Table, redis: ArqRedis) -> None:
    batch = await table.batches.create(asked("alice"))
    await redis.config_set("maxmemory", 1)
    try:
        found, _ = await table.batches.page(9, sees="alice")
    finally:
        await redis.config_set("maxmemory", 0)
    assert [each.id for each in found] == [batch.id]


async def test_an_owner_of_many_batches_delays_no_other(table: Table) -> None:
    """However many wait before: the script looks at owners, not at batches."""
    first = await table.taken("alice")
    shard = table.shard
    others = {f"batch_{number}": number for number in range(1, 2_001)}
    await shard.redis.zadd(shard.key(keys.OPEN, "=alice"), others)
    await shard.redis.zadd(shard.key(keys.OPEN_OWNERS), {"alice": 1})
    batch = await table.batches.create(asked("bob"))
    taken = await table.runs.take()
    assert taken is not None
    assert (first.batch.owner, taken.batch.id) == ("alice", batch.id)


async def test_owners_with_leased_batches_delay_no_other(table: Table) -> None:
    """More of them than one step of the script looks at."""
    for number in range(120):
        await table.taken(f"owner-{number}")
    for number in range(120):
        await table.batches.create(asked(f"owner-{number}"))
    batch = await table.batches.create(asked("zoe"))
    taken = await table.runs.take()
    assert taken is not None
    assert taken.batch.id == batch.id


async def test_a_record_that_another_program_deleted_counts_no_more(
    redis: ArqRedis, settings: Settings
) -> None:
    table = Table(first_shard(redis, settings.model_copy(update={"max_open_batches": 2})))
    gone = [(await table.batches.create(asked("alice"))).id for _ in range(2)]
    await redis.delete(*(table.shard.key(keys.BATCH, batch_id) for batch_id in gone))
    assert await table.runs.take() is None
    for _ in range(2):
        await table.batches.create(asked("alice"))
