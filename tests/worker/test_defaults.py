"""Default parameters at the worker: of the models file for stock clients, and of the model's own files."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger.leasing import Claimed
from jobs.monitoring.roster import Heartbeat, Roster
from jobs.schema import Job
from tests.ledger import JobQueue, first_shard
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving, poison_spec
from tests.worker.engine.pipelines import tiny
from tests.worker.test_arq_contract import QUEUE
from tests.worker.test_batch_worker import ended, submit
from worker.leases.leased_job import LeasedJob
from worker.leases.parsing import parse


async def enqueue(redis: ArqRedis, *inputs: Any, **keywords: Any) -> str:
    """As a stock client, with no API in between."""
    job = await redis.enqueue_job("infer", *inputs, _queue_name=QUEUE, **keywords)
    assert job is not None
    return job.job_id


def outputs(job: Job) -> list[Any]:
    assert isinstance(job.results, msgspec.Raw)
    return [result["output"] for result in msgspec.json.decode(job.results)]


async def ready(redis: ArqRedis) -> Heartbeat:
    beats: list[Heartbeat] = []

    async def reported() -> bool:
        beats[:] = [beat for beat in await Roster(first_shard(redis)).read() if beat.engine == "ready"]
        return bool(beats)

    await until(reported)
    return beats[0]


async def test_a_stock_client_s_job_has_the_defaults(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    plain = await enqueue(redis, "a")
    given = await enqueue(redis, "a", parameters={"factor": 5})
    async with serving(defaults={"factor": 3}):
        jobs = await ended(queue, plain, given)
    assert [outputs(job)[0]["factor"] for job in jobs] == [3.0, 5.0]


@pytest.mark.parametrize("given", [{"factor": 3}, {"factor": 3.0}])
async def test_equal_effective_parameters_share_a_batch(
    redis: ArqRedis, queue: JobQueue, given: dict[str, Any]
) -> None:
    await enqueue(redis, "a")
    await enqueue(redis, "b", parameters=given)
    await enqueue(redis, "c", parameters={"factor": 4})
    claimed: list[Claimed] = []

    async def all_claimed() -> bool:  # a stock client's job is due by its client's clock
        claimed.extend((await queue.claim(MODEL, 3))[0])
        return len(claimed) == 3

    await until(all_claimed)
    jobs = [parse(each, poison_spec(defaults={"factor": 3}), 1_000) for each in claimed]
    groups = [job.group for job in jobs if isinstance(job, LeasedJob)]
    assert len(groups) == 3
    assert sorted(map(groups.count, groups)) == [1, 2, 2], "those of a and b"


async def test_what_the_model_s_files_ask_for_is_done_and_shown(
    redis: ArqRedis, queue: JobQueue, serving: Serving, tmp_path: Path
) -> None:
    folder = tmp_path / "model"
    tiny.BUILDERS["feature-extraction"](folder)
    steps = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Normalize", "2_Normalize")]
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in steps]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode": "cls"}')
    ids = [
        await submit(queue, "the river", parameters=p)
        for p in ({}, {"normalize": False}, {"pooling": "none"})
    ]
    stock = await enqueue(redis, "the river")
    fields: dict[str, Any] = {
        "task": "feature-extraction",
        "pipeline": None,
        "parameters": {},
        "source": str(folder),
        "device": "cpu",
    }
    async with serving(**fields):
        beat = await ready(redis)
        jobs = await ended(queue, *ids, stock)
    assert beat.defaults == {"pooling": "cls", "normalize": True}
    normalized, raw, tokens, again = (outputs(job)[0] for job in jobs)
    assert sum(value**2 for value in normalized) == pytest.approx(1, abs=1e-4)
    assert sum(value**2 for value in raw) > 2
    assert len(tokens[0]) > 2
    assert again == pytest.approx(normalized, abs=1e-5)


async def test_runs_at_load_count_in_no_figure(redis: ArqRedis, serving: Serving) -> None:
    async with serving(example=["ours", "too"], max_requests=1):
        beat = await ready(redis)
        beats = [beat, *[each for each in await Roster(first_shard(redis)).read() if each.id == beat.id]]
    for each in beats:
        assert (each.batches, each.items, each.inputs, each.engine_restarts, each.jobs) == (0, 0, 0, 0, {})
