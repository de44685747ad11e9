"""The media of a job's inputs and the files of its outputs: read by themselves, as long as they are kept."""

from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import httpx
import pytest

from api.v1.attachments import POLICY
from jobs.ledger import attachments, beside, keys, pieces
from jobs.ledger.leasing import Claimed
from jobs.ledger.wire import decode_payload
from jobs.schema import NewJob
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.ledger import MODEL, SHARDS, JobQueue, ending, with_files

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 200
WAV = b"RIFF\0\0\0\0WAVE" + b"w" * 100
FILE = b"RIFF\0\0\0\0WAVE" + bytes(range(250)) * 2_000
INPUTS: list[Any] = [PNG, {"image": WAV, "images": [WAV, PNG], "question": "What?"}, b"<script>", "text"]


class Kept(NamedTuple):
    """A finished job with a file, whose inputs are kept."""

    client: httpx.AsyncClient
    queue: JobQueue
    id: str

    async def get(self, path: str, **headers: str) -> httpx.Response:
        return await self.client.get(f"/v1/jobs/{self.id}{path}", headers=headers)


async def submitted(queue: JobQueue, *, keep: bool) -> Claimed:
    job = NewJob(MODEL, INPUTS, len(INPUTS), {}, "normal", expires_in=None, keep_inputs=keep, has_media=True)
    await queue.submit(job)
    [claimed], _ = await queue.claim(MODEL, 1)
    return claimed


@pytest.fixture
async def kept(redis: Any, settings: Settings) -> AsyncIterator[Kept]:
    queue = JobQueue(redis, settings.model_copy(update={"shards": SHARDS}), [MODEL])
    claimed = await submitted(queue, keep=True)
    await queue.store([(claimed, "0-0.wav", FILE), (claimed, "0-1.bin", b"data")])
    await queue.finish(MODEL, [with_files(ending(claimed))])
    async with mounted(settings) as (client, _):
        yield Kept(client, queue, claimed.id)
    await queue.close()


async def test_media_of_inputs_are_read_by_their_place(kept: Kept) -> None:
    for place, content, kind in (
        ("0", PNG, "image/png"),
        ("1/image", WAV, "audio/wav"),
        ("1/images/0", WAV, "audio/wav"),
        ("1/images/1", PNG, "image/png"),
        ("2", b"<script>", "application/octet-stream"),
    ):
        found = await kept.get(f"/inputs/{place}")
        assert (found.status_code, found.content, found.headers["content-type"]) == (200, content, kind)
        assert found.headers["content-security-policy"] == POLICY
        assert found.headers["x-content-type-options"] == "nosniff"
    assert (await kept.get("/inputs/2")).headers["content-disposition"].startswith("attachment;")
    named = (await kept.get("/inputs/1/images/1")).headers["content-disposition"]
    assert named == f'inline; filename="{kept.id}-input-1-images-1.png"'


@pytest.mark.parametrize(
    "place",
    ["3", "4", "-1", "x", "0/image", "1", "1/question", "1/images", "1/images/2", "1/images/x", "", "9" * 99],
)
async def test_a_place_without_a_medium_is_not_found(kept: Kept, place: str) -> None:
    found = await kept.get(f"/inputs/{place}")
    assert (found.status_code, found.json()["type"]) == (404, "urn:batchline:problem:not-found")


async def test_a_large_payload_is_not_read(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nor decoded: millions of values would hold up every other request, and the memory has no limit."""
    decoded: list[int] = []

    def decode(payload: bytes) -> Any:
        decoded.append(len(payload))
        return decode_payload(payload)

    monkeypatch.setattr(attachments, "decode_payload", decode)
    image = {"image": WAV, "texts": ["x" * 1_000] * (attachments.MAX_PAYLOAD // 1_000)}
    for texts, status in (({"image": WAV}, 200), (image, 404)):
        job = NewJob(MODEL, [texts], 1, {}, "normal", expires_in=None, has_media=True)
        waiting, _ = await kept.queue.submit(job)
        found = await kept.client.get(f"/v1/jobs/{waiting.id}/inputs/0/image")
        assert found.status_code == status
    assert max(decoded) < 1_000


async def test_media_can_be_read_until_the_job_ends(kept: Kept) -> None:
    claimed = await submitted(kept.queue, keep=False)
    url = f"/v1/jobs/{claimed.id}/inputs/0"
    assert (await kept.client.get(url)).content == PNG
    await kept.queue.finish(MODEL, [ending(claimed)])
    assert (await kept.client.get(url)).status_code == 404


async def test_a_file_is_read_and_lives_as_long_as_the_record(kept: Kept) -> None:
    found = await kept.get("/files/0-0.wav")
    assert (found.status_code, found.content, found.headers["content-type"]) == (200, FILE, "audio/wav")
    assert found.headers["content-length"] == str(len(FILE))
    assert found.headers["content-disposition"] == f'inline; filename="{kept.id}-0-0.wav"'
    head = await kept.client.head(f"/v1/jobs/{kept.id}/files/0-0.wav")
    assert (head.status_code, head.content, head.headers["content-length"]) == (200, b"", str(len(FILE)))
    other = await kept.get("/files/0-1.bin")
    assert other.headers["content-disposition"].startswith("attachment;")
    redis = kept.queue.redis
    async with redis.pipeline(transaction=True) as pipe:  # both at one moment
        for kind in (keys.FILES, keys.RESULT):
            pipe.pttl(await kept.queue.key(kind, kept.id))
        of_files, of_record = await pipe.execute()
    assert abs(of_files - of_record) < 1_000
    await redis.delete(await kept.queue.key(keys.FILES, kept.id))
    assert (await kept.get("/files/0-0.wav")).status_code == 404


@pytest.mark.parametrize(
    ("wanted", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=100-", 100, len(FILE)),
        ("bytes=100-199", 100, 200),
        ("bytes=-7", len(FILE) - 7, len(FILE)),
        ("bytes=300000-400000", 300_000, 400_001),
        (f"bytes=10-{10**17}", 10, len(FILE)),
        (f"bytes=-{10**17}", 0, len(FILE)),
    ],
)
async def test_a_part_of_a_file_can_be_read(kept: Kept, wanted: str, start: int, end: int) -> None:
    found = await kept.get("/files/0-0.wav", range=wanted)
    assert (found.status_code, found.content) == (206, FILE[start:end])
    assert found.headers["content-range"] == f"bytes {start}-{end - 1}/{len(FILE)}"
    assert found.headers["content-length"] == str(end - start)


async def test_only_what_is_asked_for_is_read(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pieces beside it are gone, so reading them would fail."""
    monkeypatch.setattr(pieces, "PIECE", 100_000)
    job = NewJob(MODEL, [PNG * 5], 1, {}, "normal", expires_in=None, has_media=True)
    waiting, _ = await kept.queue.submit(job)
    [claimed], _ = await kept.queue.claim(MODEL, 1)
    await kept.queue.store([(claimed, "0-0.wav", FILE)])
    for kind, path, whole, name in (
        (keys.MEDIA, "inputs/0", PNG * 5, "0"),
        (keys.FILES, "files/0-0.wav", FILE, "0-0.wav"),
    ):
        url, key = f"/v1/jobs/{waiting.id}/{path}", await kept.queue.key(kind, waiting.id)
        assert (await kept.client.get(url)).content == whole
        for end in (150_000, 200_001, len(whole)):
            part = await kept.client.get(url, headers={"range": f"bytes=99999-{end - 1}"})
            assert part.content == whole[99_999:end]
        await kept.queue.redis.hdel(key, name, f"{name}/2")  # type: ignore[misc]
        part = await kept.client.get(url, headers={"range": "bytes=100000-199999"})
        assert (part.status_code, part.content) == (206, whole[100_000:200_000])
        head = await kept.client.head(url)
        assert (head.status_code, head.headers["content-length"]) == (200, str(len(whole)))
        assert (await kept.client.get(url)).status_code == 404


@pytest.mark.parametrize(
    "wanted", ["bytes=0-1,5-6", "bytes=5-1", "bytes=", "bytes=a-b", "lines=0-1", "bytes=--1", "bytes=1" * 99]
)
async def test_an_odd_range_is_ignored(kept: Kept, wanted: str) -> None:
    found = await kept.get("/files/0-0.wav", range=wanted)
    assert (found.status_code, len(found.content)) == (200, len(FILE))


async def test_a_part_beyond_the_end_is_refused(kept: Kept) -> None:
    for wanted in (f"bytes={len(FILE)}-", "bytes=-0"):
        found = await kept.get("/files/0-0.wav", range=wanted)
        assert (found.status_code, found.headers["content-range"]) == (416, f"bytes */{len(FILE)}")
        assert found.json()["type"] == "urn:batchline:problem:range-not-satisfiable"
    whole = await kept.get("/files/0-0.wav", **{"range": "bytes=0-1", "if-range": '"x"'})
    assert whole.status_code == 200


async def test_of_an_unknown_job_there_is_nothing(kept: Kept) -> None:
    for path in ("/files/0-0.wav", "/inputs/0"):
        found = await kept.client.get(f"/v1/jobs/unknown{path}")
        assert (found.status_code, found.json()["type"]) == (404, "urn:batchline:problem:unknown-job")


def test_large_media_are_beside_the_payload() -> None:
    """So these tests read from both places."""
    assert len(PNG) > beside.INLINE > len(WAV)
