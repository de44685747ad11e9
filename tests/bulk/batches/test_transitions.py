"""The state machine of batches: which transition is allowed from which state, and for which runner."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from arq.connections import ArqRedis

from bulk.batches import keys
from bulk.batches.batch import TRANSITIONS, BatchState, Fault
from bulk.batches.runs import LeaseLost, Refused, Taken
from hooks import outbox
from jobs.errors import InvalidRequest
from jobs.ledger.keys import OUTBOX
from jobs.webhook import BatchWebhook
from tests.bulk.batches.table import PART, Table, asked, lapse


def moves(table: Table) -> dict[str, tuple[Callable[[Taken], Awaitable[Any]], set[BatchState]]]:
    """Each transition, and the states from which it is allowed; the state after it too."""
    runs = table.runs
    return {
        "begin": (table.begin, {BatchState.VALIDATING, BatchState.IN_PROGRESS}),
        "fail": (
            lambda taken: runs.fail(taken, [Fault(code="empty_file", message="no lines")]),
            {state for state in BatchState if not state.terminal} | {BatchState.FAILED},
        ),
        "chunk": (
            lambda taken: runs.chunk_done(taken, 0, PART),
            {BatchState.IN_PROGRESS, BatchState.CANCELLING},
        ),
        "finish": (
            table.finish,
            {
                BatchState.FINALIZING,
                BatchState.CANCELLING,
                BatchState.COMPLETED,
                BatchState.EXPIRED,
                BatchState.CANCELLED,
            },
        ),
        "clear": (
            runs.clear,
            {BatchState.FAILED, BatchState.COMPLETED, BatchState.EXPIRED, BatchState.CANCELLED},
        ),
    }


@pytest.mark.parametrize("state", BatchState)
@pytest.mark.parametrize("move", ["begin", "fail", "chunk", "finish", "clear"])
async def test_a_transition_is_refused_from_other_states(table: Table, state: BatchState, move: str) -> None:
    taken = await table.taken()
    await table.bring(taken, state)
    assert await table.status(taken) is state
    go, allowed = moves(table)[move]
    if state in allowed:
        await go(taken)
        after = await table.status(taken)
        assert after is state or after in TRANSITIONS[state]
    else:
        with pytest.raises(Refused) as refused:
            await go(taken)
        assert refused.value.status is state
        assert await table.status(taken) is state


@pytest.mark.parametrize("state", [state for state in BatchState if state is not BatchState.IN_PROGRESS])
async def test_only_a_batch_in_progress_is_finalized(table: Table, state: BatchState) -> None:
    taken = await table.taken()
    await table.bring(taken, state)
    if state is BatchState.FINALIZING:  # sent again because the answer was lost
        await table.runs.finalize(taken)
    else:
        with pytest.raises(Refused):
            await table.runs.finalize(taken)
    assert await table.status(taken) is state


async def test_a_batch_is_not_finalized_before_every_chunk_has_its_part(table: Table) -> None:
    taken = await table.taken()
    await table.begin(taken)
    with pytest.raises(AssertionError, match="has no part"):
        await table.runs.finalize(taken)
    assert await table.status(taken) is BatchState.IN_PROGRESS


@pytest.mark.parametrize("state", BatchState)
async def test_cancel(table: Table, state: BatchState) -> None:
    taken = await table.taken()
    await table.bring(taken, state)
    if state.terminal:
        with pytest.raises(InvalidRequest, match=f"has ended as {state}"):
            await table.batches.cancel(taken.batch.id, sees=None)
        return
    found = await table.batches.cancel(taken.batch.id, sees=None)
    expected = BatchState.FINALIZING if state is BatchState.FINALIZING else BatchState.CANCELLING
    assert found.status is expected
    again = await table.batches.cancel(taken.batch.id, sees=None)
    assert again == found


@pytest.mark.parametrize(
    "move", ["begin", "fail", "chunk", "finish", "clear", "renew", "release", "finalize"]
)
async def test_a_runner_without_the_lease_is_refused(table: Table, move: str) -> None:
    taken = await table.taken()
    await table.bring(taken, BatchState.IN_PROGRESS)
    stale = taken._replace(token="f" * 32)
    known = {name: go for name, (go, _) in moves(table).items()}
    known |= {"renew": table.runs.renew, "release": table.runs.release, "finalize": table.runs.finalize}
    with pytest.raises(LeaseLost):
        await known[move](stale)
    assert await table.status(taken) is BatchState.IN_PROGRESS
    await table.runs.renew(taken)


async def test_a_chunk_counts_once(table: Table) -> None:
    taken = await table.taken()
    await table.begin(taken)
    for part in (PART, PART._replace(name="0-other", completed=3)):
        await table.runs.chunk_done(taken, 0, part, tokens=7)
    found = await table.batches.retrieve(taken.batch.id, sees=None)
    assert (found.counts, found.tokens) == ((3, 2, 1), 7)
    assert await table.runs.parts(taken.batch) == {0: PART}


async def test_what_an_end_leaves(table: Table, redis: ArqRedis) -> None:
    taken = await table.taken("alice")
    await table.bring(taken, BatchState.COMPLETED)
    found = await table.batches.retrieve(taken.batch.id, sees="alice")
    assert (found.status, found.output_file_id) == (BatchState.COMPLETED, f"file-{taken.batch.id}-output")
    assert found.created_at <= (found.in_progress_at or 0) <= (found.finalizing_at or 0)
    assert (found.finalizing_at or 0) <= (found.completed_at or 0)
    assert await redis.pttl(table.shard.key(keys.BATCH, found.id)) > 0
    again = await table.runs.renew(taken)  # it is still to be cleared
    assert again.status is BatchState.COMPLETED
    await table.runs.clear(taken)
    assert await table.runs.take() is None
    for key in (table.shard.key(keys.OPEN, "=alice"), table.shard.key(keys.OPEN_OWNERS)):
        assert not await redis.exists(key)
    assert not await redis.exists(table.shard.key(keys.CHUNKS, found.id))


async def test_an_ended_batch_whose_runner_died_is_cleared_by_another(table: Table, redis: ArqRedis) -> None:
    taken = await table.taken()
    await table.bring(taken, BatchState.COMPLETED)
    await lapse(table.shard, taken.batch.id)
    other = await table.runs.take()
    assert other is not None
    assert (other.batch.status, other.taken_over) == (BatchState.COMPLETED, True)
    await table.runs.clear(other)
    assert await redis.pttl(table.shard.key(keys.BATCH, taken.batch.id)) > 0


async def test_a_lapsed_lease_is_taken_over(table: Table) -> None:
    taken = await table.taken()
    assert not taken.taken_over
    assert await table.runs.take() is None
    await lapse(table.shard, taken.batch.id)
    await table.runs.renew(taken)  # nobody has taken it meanwhile
    assert await table.runs.take() is None
    await lapse(table.shard, taken.batch.id)
    other = await table.runs.take()
    assert other is not None
    assert other.taken_over
    with pytest.raises(LeaseLost):
        await table.runs.renew(taken)


async def test_a_batch_that_is_given_back_is_taken_at_once(table: Table) -> None:
    taken = await table.taken()
    await table.runs.release(taken)
    other = await table.runs.take()
    assert other is not None
    assert (other.batch.id, other.taken_over) == (taken.batch.id, False)


@pytest.mark.parametrize("state", [state for state in BatchState if state.terminal])
async def test_an_end_has_its_entry_in_the_outbox(table: Table, redis: ArqRedis, state: BatchState) -> None:
    webhook = BatchWebhook(url="https://example.org/ended")
    await table.batches.create(asked("alice", webhook=webhook))
    taken = await table.runs.take()
    assert taken is not None
    await table.bring(taken, state)
    [(entry_id, fields)] = await redis.xrange(table.shard.key(OUTBOX))
    ended = outbox.read(entry_id, fields)
    batch = await table.batches.retrieve(taken.batch.id, sees="alice")
    assert (ended.subject, ended.event, ended.owner) == (batch.id, f"batch.{state}", "alice")
    assert (ended.url, ended.wanted.endpoints) == (webhook.url, True)
    assert ended.data == {
        "id": batch.id,
        "object": "batch",
        "status": state,
        "request_counts": batch.counts._asdict(),
    }


async def overtaken(table: Table, taken: Taken) -> Taken:
    """The batch with another runner, after the lease has ended."""
    await lapse(table.shard, taken.batch.id)
    other = await table.runs.take()
    assert other is not None
    return other


async def test_runners_that_are_lost_in_succession_are_counted(table: Table) -> None:
    taken = await table.taken()
    for lost in (1, 2, 3):
        taken = await overtaken(table, taken)
        assert taken.batch.lost == (await table.runs.renew(taken)).lost == lost
    await table.runs.release(taken)
    again = await table.runs.take()
    assert again is not None
    assert again.batch.lost == 3, "an orderly stop changes nothing"
    await table.begin(again)
    assert (await table.runs.renew(again)).lost == 0, "it made progress"
    again = await overtaken(table, again)
    await table.runs.chunk_done(again, 0, PART)
    assert (await table.runs.renew(again)).lost == 0
    assert (await overtaken(table, again)).batch.lost == 1


async def test_a_runner_that_lives_is_not_lost(table: Table) -> None:
    """Redis was away for longer than the leases, or the process was stopped."""
    first = await table.taken()
    second = await overtaken(table, first)
    third = await overtaken(table, second)
    for late in (first, second, second):
        with pytest.raises(LeaseLost):
            await table.runs.renew(late)
    assert (await table.runs.renew(third)).lost == 1, "the first one was followed by another"
