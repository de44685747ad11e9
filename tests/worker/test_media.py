"""Media in and files out, with a real worker: fetched before the run, there before anybody reads of them."""

import base64
import gc
from typing import Any

import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.claims import Claims
from jobs.ledger.keys import Key
from jobs.schema import NewJob
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.pictures import picture, shown
from tests.worker.test_batch_worker import ended, results
from tests.worker.test_hostile import enqueue_raw, payload
from worker.leases import progress
from worker.leases.leased_job import LeasedJob
from worker.scheduling import media as fetching

IMAGES: dict[str, Any] = {
    "pipeline": "tests.worker.pictures:Pictures",
    "input": "image",
    "max_batch_items": 4,
}


async def submit(queue: JobQueue, *media: bytes, keep: bool = False) -> str:
    job = NewJob(
        MODEL, list(media), len(media), {}, "normal", expires_in=None, has_media=True, keep_inputs=keep
    )
    return (await queue.submit(job))[0].id


async def files_of(queue: JobQueue, job_id: str) -> dict[str, bytes]:
    found: dict[bytes, bytes] = await queue.redis.hgetall(await queue.key(keys.FILES, job_id))  # type: ignore[misc]
    return {name.decode(): content for name, content in found.items()}


async def count(queue: JobQueue, kind: Key) -> int:
    return len(await queue.redis.keys(kind.pattern))


async def test_media_are_fetched_and_files_are_kept(queue: JobQueue, serving: Serving) -> None:
    """Large and small ones, of several jobs in a batch."""
    given = [picture("a"), picture("b", 10), picture("c", 300_000)]
    one, two = await submit(queue, *given), await submit(queue, picture("no file"))
    async with serving(**IMAGES):
        first, second = await ended(queue, one, two)
    outputs: list[Any] = [result["output"] for result in results(first)]
    assert [output["bytes"] for output in outputs] == list(map(len, given))
    url = f"/v1/jobs/{one}/files/"
    assert outputs[1]["files"] == [
        {"url": f"{url}1-0.png", "content_type": "image/png", "bytes": len(shown(given[1]))},
        {"url": f"{url}1-1.wav", "content_type": "audio/wav", "bytes": 100},
    ]
    kept = await files_of(queue, one)
    assert [kept[f"{index}-0.png"] for index in range(3)] == list(map(shown, given))
    assert len(kept) == 6
    assert results(second) == [{"output": {"bytes": len(picture("no file"))}}]
    assert await files_of(queue, two) == {}
    assert (await queue.depth())[MODEL].bytes == 0
    assert await count(queue, keys.MEDIA) == 0
    files, result = [await queue.key(kind, one) for kind in (keys.FILES, keys.RESULT)]
    until_when = await queue.redis.pexpiretime(files)  # type: ignore[misc]
    assert until_when > 0
    assert abs(until_when - await queue.redis.pexpiretime(result)) < 1_000  # type: ignore[misc]


@pytest.mark.parametrize("damaged", [False, True], ids=["gone", "damaged"])
async def test_a_lost_medium_fails_its_input_alone(queue: JobQueue, serving: Serving, damaged: bool) -> None:
    good, bad = await submit(queue, picture("good")), await submit(queue, picture("a"), picture("b"))
    all_lost = await submit(queue, picture("c"))
    await queue.redis.delete(await queue.key(keys.MEDIA, all_lost))
    key = await queue.key(keys.MEDIA, bad)
    await (queue.redis.hset(key, "1", "x") if damaged else queue.redis.hdel(key, "1"))  # type: ignore[misc]
    async with serving(**IMAGES):
        first, second, third = await ended(queue, good, bad, all_lost)
    assert (first.status, second.status, third.status) == ("succeeded", "succeeded", "failed")
    outcomes: list[Any] = results(second)
    assert "output" in outcomes[0]
    assert ("digest has changed" if damaged else "gone from Redis") in outcomes[1]["error"]["detail"]
    assert (await queue.depth())[MODEL].bytes == 0


async def test_while_redis_is_away_nothing_fails(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch
) -> None:
    read, tries = Claims.media, 0

    async def away(self: Claims, wanted: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries < 3:
            raise QueueUnavailable("away")
        return await read(self, wanted)

    monkeypatch.setattr(Claims, "media", away)
    job_id = await submit(queue, picture("a"))
    async with serving(**IMAGES):
        [job] = await ended(queue, job_id)
    assert (job.status, tries) == ("succeeded", 3)


async def test_a_job_whose_media_cannot_be_read_in_time_is_claimed_again(
    queue: JobQueue, serving: Serving, monkeypatch: pytest.MonkeyPatch, redis: ArqRedis
) -> None:
    read, tries = Claims.media, 0

    async def slow(self: Claims, wanted: Any) -> Any:
        nonlocal tries
        tries += 1
        if tries == 1:
            raise TimeoutError  # as `asyncio.timeout` raises it
        return await read(self, wanted)

    monkeypatch.setattr(Claims, "media", slow)
    job_id = await submit(queue, picture("a"))
    async with serving(**IMAGES):

        async def dropped() -> bool:
            return tries == 1

        await until(dropped)
        await queue.lapse(job_id)
        [job] = await ended(queue, job_id)
    assert (job.status, tries) == ("succeeded", 2)


STRANGE: dict[str, tuple[Any, str]] = {
    "base64 of an earlier release": (base64.b64encode(picture("a")).decode(), ""),
    "a data URL": ("data:image/png;base64," + base64.b64encode(picture("a")).decode(), ""),
    "a link": ("http://example.org/a.png", "URL|link"),
    "above the limit": (picture("a", 90_000), "max_input_bytes"),
    "no image": (b"RIFF\0\0\0\0WAVE...", "not image data"),
    "a reference to nothing": (
        msgspec.msgpack.Ext(2, msgspec.msgpack.encode([0, 50, b"x" * 32, picture("a", 10)[:64]])),
        "gone from Redis",
    ),
    "a reference of less than no bytes": (
        msgspec.msgpack.Ext(2, msgspec.msgpack.encode([0, -(10**9), b"x" * 32, picture("a", 10)[:64]])),
        "cannot be read",
    ),
    "a reference without fields": (msgspec.msgpack.Ext(2, b"\x90"), "cannot be read"),
}


async def test_what_stock_clients_send_is_run_or_refused_in_a_sentence(
    redis: ArqRedis, queue: JobQueue, serving: Serving
) -> None:
    ids = [
        await enqueue_raw(redis, f"stock {number}", payload(a=[[given]]))
        for number, (given, _) in enumerate(STRANGE.values())
    ]
    async with serving(**IMAGES, max_input_bytes=60_000):
        jobs = await ended(queue, *ids)
    for (name, (_, why)), job in zip(STRANGE.items(), jobs, strict=True):
        if not why:
            assert job.status == "succeeded", name
            continue
        assert job.first_error is not None, name
        assert any(each in job.first_error.detail for each in why.split("|")), (name, job.first_error)
    assert (await queue.depth())[MODEL].bytes == 0


async def test_files_are_there_before_the_outcomes_that_name_them(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a running job too."""
    monkeypatch.setattr(progress, "FIRST_AFTER", 0.0)
    seen: list[tuple[str, set[str]]] = []
    note, finish = Claims.note, Claims.finish

    async def noted(self: Claims, outcomes: Any) -> Any:
        seen.extend([("note", set(await files_of(queue, each.id))) for each in outcomes])
        return await note(self, outcomes)

    async def finished(self: Claims, model: str, endings: Any) -> Any:
        seen.extend([("finish", set(await files_of(queue, each.id))) for each in endings])
        return await finish(self, model, endings)

    monkeypatch.setattr(Claims, "note", noted)
    monkeypatch.setattr(Claims, "finish", finished)
    job_id = await submit(queue, picture("a"), picture(f"first {gate.text}"))
    async with serving(**IMAGES | {"max_batch_items": 1}):

        async def known() -> bool:
            return bool((await queue.outcomes(job_id, 0)).known)

        await until(known)
        gate.open()
        await ended(queue, job_id)
    first, *_, last = seen
    assert first == ("note", {"0-0.png", "0-1.wav"})
    assert last == ("finish", {"0-0.png", "0-1.wav", "1-0.png", "1-1.wav"})


async def test_files_of_a_cancelled_or_refused_job_are_gone(
    queue: JobQueue, serving: Serving, gate: Gate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "FIRST_AFTER", 0.0)
    running = await submit(queue, picture("a"), picture(f"first {gate.text}"))
    async with serving(**IMAGES | {"max_batch_items": 1}, max_result_bytes=500):

        async def written() -> bool:
            return bool(await files_of(queue, running))

        await until(written)
        await queue.cancel(running)
        assert await files_of(queue, running) == {}
        gate.open()
        large = await submit(queue, *[picture(f"{number}") for number in range(8)])
        [job] = await ended(queue, large)
    assert job.first_error is not None
    assert job.first_error.type.endswith("result-too-large"), "files count as results"
    assert await count(queue, keys.FILES) == 0


async def test_media_are_freed_with_their_job(queue: JobQueue, serving: Serving) -> None:
    """At once: a garbage collection of old objects comes only after many new ones, however large they are."""
    async with serving(**IMAGES):
        gc.collect()
        gc.disable()
        try:
            for text in ("a", "b", "c"):
                await ended(queue, await submit(queue, picture(text)))
            left = [each for each in gc.get_objects() if type(each) is LeasedJob]
        finally:
            gc.enable()
    assert len(left) <= 1, "loops still refer to the last one"


async def test_an_input_that_kills_the_engine_has_no_files_and_the_others_have_theirs(
    queue: JobQueue, serving: Serving
) -> None:
    given = [picture("a"), picture("die"), picture("c")]
    job_id = await submit(queue, *given)
    async with serving(**IMAGES):
        [job] = await ended(queue, job_id)
    assert (job.counts.succeeded, job.counts.failed) == (2, 1)
    kept = await files_of(queue, job_id)
    assert set(kept) == {"0-0.png", "0-1.wav", "2-0.png", "2-1.wav"}
    assert kept["2-0.png"] == shown(given[2])


def test_the_time_for_media_grows_with_them() -> None:
    assert fetching.SLOWEST * fetching.MAX_READ > 16_000_000, "a full window"
