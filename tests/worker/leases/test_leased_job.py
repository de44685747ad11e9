"""LeasedJob: what it makes of a claim."""

import gc
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from jobs.errors import InvalidRequest
from jobs.ledger.records import MARK, decode_record
from jobs.owners import Sender
from tests.jobs.ledger.test_queue import new_job
from tests.ledger import JobQueue
from tests.worker.conftest import MODEL, poison_spec
from tests.worker.test_batch_worker import new_job as of_inputs
from worker.leases.held import Unreadable
from worker.leases.leased_job import LeasedJob
from worker.leases.parsing import parse


@pytest.mark.parametrize("started_before", [False, True])
async def test_a_deadline_is_for_the_first_start(queue: JobQueue, started_before: bool) -> None:
    """A job that began in time, and whose worker was lost then, is not late."""
    await queue.submit(new_job("text", expires_in=1.0))
    claimed, _ = await queue.claim(MODEL, 1)
    if started_before:
        await queue.start(claimed)
        await queue.release(MODEL, [(claimed[0], 0)], uncharged=False)
        claimed, _ = await queue.claim(MODEL, 1)
    job = parse(claimed[0], poison_spec(), 1_000)
    assert isinstance(job, LeasedJob)
    assert (job.start_by > 0) is not started_before


@pytest.mark.parametrize("owner", ["alice", ""])
async def test_however_it_ends_it_keeps_its_owner(queue: JobQueue, owner: str) -> None:
    """Also where it cannot be run."""
    await queue.submit(replace(new_job("text"), sender=Sender(owner)))
    [claimed], _ = await queue.claim(MODEL, 1)
    job = parse(claimed, poison_spec(), 1_000)
    unreadable = parse(claimed, poison_spec(input="json", max_input_chars=1), 1_000)
    assert isinstance(job, LeasedJob)
    assert isinstance(unreadable, Unreadable)
    endings = [job.expired(), job.abandoned("engine-died", "x"), unreadable.ending()]
    job.settle(0, b"1")
    for ending in [*endings, job.finished()]:
        assert decode_record(MARK + bytes(8) + ending.head + ending.results).header.owner == owner


@pytest.mark.parametrize(
    ("owner", "weight", "share"),
    [("alice", 2.5, 2.5), ("alice", 1e-308, 0.001), ("alice", float("inf"), 1000.0), ("", 1e-308, 1.0)],
)
async def test_a_share_is_bounded_and_none_of_a_stock_clients(
    queue: JobQueue, owner: str, weight: float, share: float
) -> None:
    """Otherwise virtual times become infinite, and owners take no turns any more."""
    await queue.submit(replace(new_job("text"), sender=Sender("alice", weight=weight)))
    [claimed], _ = await queue.claim(MODEL, 1)
    job = parse(replace(claimed, owner=owner), poison_spec(), 1_000)
    assert isinstance(job, LeasedJob)
    assert job.weight == share


async def unpacked(queue: JobQueue, inputs: Any, **fields: Any) -> LeasedJob:
    await queue.submit(of_inputs(inputs))
    claimed, _ = await queue.claim(MODEL, 1)
    spec = poison_spec(input="json", **fields)
    before = len(gc.get_objects())
    job = parse(claimed[0], spec, 1_000)
    if isinstance(job, Unreadable):
        raise InvalidRequest(job.reason)
    assert len(gc.get_objects()) - before < 1_000, "a few MB can hold millions of lists"
    return job


async def test_json_inputs_are_not_decoded(queue: JobQueue) -> None:
    inputs: list[Any] = [[[] for _ in range(2_000)] for _ in range(100)]
    job = await unpacked(queue, inputs)
    assert [msgspec.msgpack.decode(item) for item in job.inputs] == inputs


@pytest.mark.parametrize("inputs", [{"a": [1]}, [{"a": [1]}, "a text", 0.5, None, ["b"]], "a text", []])
async def test_json_inputs_of_all_kinds(queue: JobQueue, inputs: Any) -> None:
    if inputs == []:
        with pytest.raises(InvalidRequest, match="at least one"):
            await unpacked(queue, inputs)
        return
    job = await unpacked(queue, inputs)
    listed = inputs if isinstance(inputs, list) else [inputs]
    assert [item if isinstance(item, str) else msgspec.msgpack.decode(item) for item in job.inputs] == listed
    assert job.count == len(listed)


async def test_json_inputs_have_a_limit(queue: JobQueue) -> None:
    """It has every input that the API accepted, even if msgpack is longer than JSON."""
    await unpacked(queue, [[0.5] * 20], max_input_chars=100)
    with pytest.raises(InvalidRequest, match="exceed this model's limit of 50"):
        await unpacked(queue, [[[]] * 200], max_input_chars=50)
