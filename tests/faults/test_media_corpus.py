"""Hostile media through the real API, queue and engine: each file is answered or fails alone."""

import asyncio
import base64
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from arq.connections import ArqRedis

from jobs.monitoring.roster import Heartbeat, Roster
from jobs.settings import Settings
from tests.faults.media import corpus, pictures, recordings
from tests.faults.media.sample import Sample
from tests.journey.conftest import Running, batchline, shards
from tests.ledger import JobQueue, first_shard
from tests.processes import ROOT
from tests.worker.engine.pipelines import tiny

__all__ = ["batchline", "shards"]

PER_JOB = 14
"""Files of the corpus in a job, between two good ones."""
JOBS_AT_ONCE = 6
MAX_PIXELS = 4_000_000
BOUND = 400
"""MiB by which an engine may grow at most: two pictures of so many pixels are decoded at once."""

MODELS = f"""\
[models.images]
task = "image-classification"
source = "{ROOT}/models/digits"
device = "cpu"
token_budget = 32
max_pixels = {MAX_PIXELS}
defaults = {{ top_k = 1 }}

[models.sounds]
task = "audio-classification"
source = "sounds"
device = "cpu"
token_budget = 32
max_seconds = {corpus.SECONDS}
defaults = {{ top_k = 1 }}
"""


@dataclass
class Outcomes:
    """What happened to each file."""

    outputs: dict[str, Any] = field(default_factory=dict)
    refusals: dict[str, str] = field(default_factory=dict)
    at_submit: set[str] = field(default_factory=set)
    """Those that the API refused; the engine refused the others."""
    good: list[Any] = field(default_factory=list)
    """Outputs of the good inputs beside them."""
    batches: list[int] = field(default_factory=list)


async def send_all(client: httpx.AsyncClient, model: str, samples: Sequence[Sample], good: bytes) -> Outcomes:
    """Sends the files in jobs of several, each between good inputs."""
    found = Outcomes()
    turns = asyncio.Semaphore(JOBS_AT_ONCE)

    async def send(part: Sequence[Sample]) -> None:
        async with turns:
            await _send(client, model, list(part), good, found)

    parts = [samples[at : at + PER_JOB] for at in range(0, len(samples), PER_JOB)]
    await asyncio.gather(*(send(part) for part in parts))
    return found


async def _send(
    client: httpx.AsyncClient, model: str, part: list[Sample], good: bytes, found: Outcomes
) -> None:
    """Submits one job, without the files that the API refuses; the first pointer names one of them."""
    while True:
        data = [good, *(sample.data for sample in part), good]
        inputs = [base64.b64encode(each).decode() for each in data]
        answer = await client.post(
            "/v1/jobs", json={"model": model, "inputs": inputs}, headers={"prefer": "wait=60"}
        )
        body = answer.json()
        if answer.status_code != 422:
            break
        refused = part.pop(int(body["pointer"].removeprefix("/inputs/")) - 1)
        found.refusals[refused.name] = body["detail"]
        found.at_submit.add(refused.name)
    assert answer.status_code == 200, body
    assert body["results"][0].get("output"), str(body["results"][0]) + str(body.get("error"))
    first, *results, last = body["results"]
    found.good += [first["output"], last["output"]]
    found.batches.append(body["batch"]["size"])
    for sample, result in zip(part, results, strict=True):
        if "output" in result:
            found.outputs[sample.name] = result["output"]
        else:
            assert result["error"]["type"] == "urn:batchline:problem:input-failed", result
            found.refusals[sample.name] = result["error"]["detail"]


def check(samples: Sequence[Sample], found: Outcomes) -> None:
    """Checks that each file ended as it must, and that every refusal is one clear sentence."""
    wrong = {
        sample.name: found.refusals.get(sample.name, found.outputs.get(sample.name))
        for sample in samples
        if (sample.outcome == "answer" and sample.name not in found.outputs)
        or (sample.outcome == "refused" and sample.name not in found.refusals)
    }
    assert not wrong
    assert len(found.outputs) + len(found.refusals) == len(samples)
    assert {name: text for name, text in found.refusals.items() if not is_a_sentence(text)} == {}
    assert min(found.batches) > 1, "files and good inputs share batches"
    labels = {output[0]["label"] for output in found.good}
    scores = [output[0]["score"] for output in found.good]
    assert len(labels) == 1
    assert max(scores) - min(scores) < 1e-5, "good inputs beside them have their own answers"


def summary(found: Outcomes) -> str:
    return (
        f"{len(found.outputs)} answered, {len(found.refusals)} refused, {len(found.at_submit)} of them by the"
        f" API, batches of up to {max(found.batches):.0f}"
    )


def is_a_sentence(text: str) -> bool:
    """Whether a sender can read it: one line, not long, without addresses of memory or Python's own words."""
    return 20 < len(text) < 250 and not re.search(r"\n|0x[0-9a-f]{6}|Traceback|<_io|object at|b'", text)


@dataclass(frozen=True)
class Engines:
    """The engines of a worker, by process id, and their highest resident memory in MiB."""

    peaks: dict[int, int]
    restarts: int


async def engines(redis: ArqRedis) -> Engines:
    beats: list[Heartbeat] = await Roster(first_shard(redis)).read()
    [worker] = {beat.pid for beat in beats}
    found = [child.pid for child in psutil.Process(worker).children() if "worker.engine" in child.cmdline()]
    return Engines({pid: peak(pid) for pid in found}, sum(beat.engine_restarts for beat in beats))


def peak(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    [kib] = re.findall(r"VmHWM:\s+(\d+) kB", status)
    return int(kib) // 1024


@asynccontextmanager
async def undisturbed(
    redis: ArqRedis, settings: Settings, models: Sequence[str]
) -> AsyncIterator[dict[int, int]]:
    """Checks that the engines live on, have not grown beyond the bound, and that no job is left.

    Yields the MiB by which each engine has grown, empty until the end.
    """
    before = await engines(redis)
    grown: dict[int, int] = {}
    yield grown
    after = await engines(redis)
    assert after.peaks.keys() == before.peaks.keys(), "the same processes"
    assert after.restarts == before.restarts == 0
    grown |= {pid: after.peaks[pid] - before.peaks[pid] for pid in before.peaks}
    assert max(grown.values()) < BOUND, grown
    queue = JobQueue(redis, settings, models)
    for depth in (await queue.depth()).values():
        assert depth.waiting + depth.running + depth.deferred + depth.bytes + depth.inputs == 0


@pytest.mark.attack(
    "images and sounds: bombs, truncations, changed bits, polyglots, other formats, and every unusual form",
    held="each is answered or refused alone, the engines live and do not grow",
)
async def test_hostile_media(
    batchline: Running, redis: ArqRedis, settings: Settings, tmp_path: Path, tried: Any, figure: Any
) -> None:
    tiny.BUILDERS["audio-classification"](tmp_path / "sounds")
    file = tmp_path / "models.toml"
    file.write_text(MODELS)
    images, sounds = corpus.images(), corpus.sounds()
    digit, tone = pictures.encoded(pictures.digit(), "PNG"), recordings.encoded(recordings.tone())
    async with batchline(file) as client, undisturbed(redis, settings, ["images", "sounds"]) as grown:
        seen, heard = await asyncio.gather(
            send_all(client, "images", images, digit), send_all(client, "sounds", sounds, tone)
        )
    check(images, seen)
    check(sounds, heard)
    assert {output[0]["label"] for output in seen.good} == {str(pictures.DIGIT)}
    tried(len(images), "images")
    tried(len(sounds), "sounds")
    figure(f"images: {summary(seen)}")
    figure(f"sounds: {summary(heard)}")
    figure(f"the engines grew by {' and '.join(map(str, grown.values()))} MiB")
