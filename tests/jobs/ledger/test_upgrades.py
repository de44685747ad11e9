"""Releases side by side: what 0.1 wrote is read, 0.1 runs what is submitted now, newer fields are kept."""

from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.errors import IdempotencyMismatch
from jobs.ledger import keys, views
from jobs.ledger.envelope import Envelope, envelope
from jobs.ledger.ids import new_id
from jobs.ledger.wire import decode_payload
from jobs.owners import Sender
from jobs.schema import Job
from tests.jobs.ledger import release_0_1
from tests.jobs.ledger.test_queue import MODEL, new_job
from tests.ledger import JobQueue

ASKED = {
    "one": (["A fine film."], {}),
    "many": (["a", "b", "c"], {"top_k": 2}),
    "deadline": (["a", "b"], {}),
    "traced": (["a"], {}),
    "packed": (["x", "y"], {}),
    "stock": (["a", "b"], {"top_k": 1}),
}


async def put(redis: ArqRedis, payload: bytes) -> str:
    """The payload as a waiting job."""
    job_id = new_id()
    await redis.set(keys.JOB.of(job_id), payload)
    await redis.zadd(keys.queue_name(MODEL), {job_id: 1})
    return job_id


@pytest.mark.parametrize("name", release_0_1.PAYLOADS)
async def test_a_job_of_0_1_is_read_and_claimed(queue: JobQueue, redis: ArqRedis, name: str) -> None:
    inputs, parameters = ASKED[name]
    job_id = await put(redis, release_0_1.PAYLOADS[name])
    job = await queue.read(job_id)
    assert (job.status, job.counts.total, job.created_at.year) == ("queued", len(inputs), 2026)
    asked = await queue.inputs_of(job_id)
    assert (list(asked.inputs), asked.parameters) == (inputs, parameters)
    [claimed], _ = await queue.claim(MODEL, 1)
    read = envelope(decode_payload(claimed.payload).k)
    assert (read.n in (len(inputs), 0), read.parameters or {}, read.owner) == (True, parameters, "")
    assert (await queue.cancel(job_id)).counts.total == len(inputs)


@pytest.mark.parametrize("name", release_0_1.RECORDS)
async def test_a_record_of_0_1_is_read(queue: JobQueue, redis: ArqRedis, name: str) -> None:
    record = release_0_1.RECORDS[name]
    job_id = msgspec.msgpack.decode(record)["id"]
    await redis.set(keys.RESULT.of(job_id), record, ex=60)
    job = await queue.read(job_id)
    assert job.status == ("succeeded" if name == "partly failed" else name)
    assert job.counts.tokens is None
    assert job == views.terminal(job_id, record)


@pytest.mark.parametrize("count", [1, 3])
async def test_a_job_submitted_now_is_one_that_0_1_can_run(
    queue: JobQueue, redis: ArqRedis, count: int
) -> None:
    new = replace(new_job(priority="high", expires_in=9.0), inputs=["text"] * count, count=count)
    job, _ = await queue.submit(new)
    payload = await redis.get(await queue.key(keys.JOB, job.id))
    assert payload is not None
    read = msgspec.msgpack.decode(payload, type=release_0_1.Payload)
    assert (read.a, read.f) == ([["text"] * count], "infer")
    assert read.k == {"n": count, "priority": "high", "parameters": {}, "expires_in": 9.0}
    assert read.k.keys() <= release_0_1.KEYWORDS


def test_a_small_job_has_not_grown() -> None:
    """Defaults are not written, and the rest keeps its bytes: fingerprints are made of them."""
    written = Envelope(n=1, priority="normal", parameters={})
    assert msgspec.msgpack.encode(written) == msgspec.msgpack.encode(
        {"n": 1, "priority": "normal", "parameters": {}}
    )


async def test_a_key_that_0_1_kept_still_replays(queue: JobQueue, redis: ArqRedis) -> None:
    """The fingerprint is that of release 0.1 for this job, as captured there."""
    new = new_job("A fine film.")
    first, _ = await queue.submit(new, idempotency_key="key")
    [kept] = [await redis.get(key) for key in await redis.keys(keys.IDEMPOTENCY.of("*"))]
    assert kept is not None
    assert kept[:32].decode() == "57373282d0ee73505af3f944e8a5a6c6"
    again, replayed = await queue.submit(new, idempotency_key="key")
    assert (again.id, replayed) == (first.id, True)
    with pytest.raises(IdempotencyMismatch):
        await queue.submit(new_job("A bad film."), idempotency_key="key")


NEWER = {
    "n": 2,
    "version": 2,
    "priority": "normal",
    "parameters": {},
    "owner": "alice",
    "webhook": {"url": "https://example.org/hook", "secret": 7},
    "group": ["batch", 3],
    "metadata": {"note": "x" * 5000},
    "budget": {"tokens": 10**6},
    "region": None,
}
MANY = {f"field{i}": i for i in range(20)}


def newer(envelope: dict[str, Any], **more: object) -> bytes:
    """A job of a release to come: more in its envelope, more beside it."""
    fields = {"t": None, "f": "infer", "k": envelope, "a": [["a", "b"]], **more, "et": 1_700_000_000_000}
    return msgspec.msgpack.encode(fields)[:-9] + b"\xcf" + (1_700_000_000_000).to_bytes(8)


@pytest.mark.parametrize(
    "payload",
    [
        newer(NEWER),
        newer(NEWER | MANY),
        newer({**MANY, **NEWER}),
        newer(NEWER, shard=3, blobs=["x" * 300]),
    ],
    ids=["fields", "more than 15", "another order", "beside"],
)
async def test_a_newer_releases_job_keeps_its_fields(
    queue: JobQueue, redis: ArqRedis, payload: bytes
) -> None:
    """Whatever happens to it here, nobody rewrites it."""
    job_id = await put(redis, payload)
    await redis.incrby(keys.BYTES.of(MODEL), len(payload))
    read: list[Job] = [await queue.read(job_id)]
    [claimed], _ = await queue.claim(MODEL, 2)
    assert claimed.payload == payload
    read.append(await queue.read(job_id))
    await queue.release(MODEL, [(claimed, 0)])
    assert (await queue.claim(MODEL, 2))[0][0].payload == payload
    await queue.lapse(job_id)
    assert (await queue.sweep(MODEL))[0] == 1
    assert await redis.get(keys.JOB.of(job_id)) == payload
    read.append(await queue.read(job_id))
    assert {(job.counts.total, job.created_at.year) for job in read} == {(2, 2023)}
    depth = (await queue.depth())[MODEL]
    assert depth.bytes == len(payload)
    assert depth.oldest_ms > 10**9
    cancelled = await queue.cancel(job_id)
    assert (cancelled.counts.total, cancelled.created_at.year) == (2, 2023)


async def test_a_deadline_is_found_in_a_large_envelope(queue: JobQueue, redis: ArqRedis) -> None:
    job_id = await put(redis, newer({**NEWER, "expires_in": 60.0}))
    await queue.claim(MODEL, 2)
    await queue.lapse(job_id)
    assert await queue.sweep(MODEL) == (1, 1, 0), "given back unstarted, and overdue since 2023"
    assert (await queue.read(job_id)).status == "expired"


async def test_the_owner_travels(queue: JobQueue) -> None:
    await queue.submit(replace(new_job(), sender=Sender("alice")))
    [claimed], _ = await queue.claim(MODEL, 1)
    assert envelope(decode_payload(claimed.payload).k).owner == "alice"
