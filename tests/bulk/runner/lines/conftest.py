"""Lines run in this process, on a real Valkey, while the tests end their jobs in place of a worker."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any, cast

import httpx
import msgspec
import pytest
import structlog
from arq.connections import ArqRedis

from api.services import Services
from bulk.batches.batch import Asked, Batch, BatchState
from bulk.files.file import File
from bulk.files.files import Files
from bulk.runner.job_ends import JobEnds
from bulk.runner.lines.interface import Line, Rows, Stop
from bulk.runner.lines.lines import JobLines
from bulk.runner.lines.media import LineMedia
from bulk.runner.lines.tools import Tools
from bulk.runner.retries import Retries
from jobs.errors import FileNotFound
from jobs.ledger import views
from jobs.ledger.leasing import Claimed
from jobs.ledger.wire import decode_payload
from jobs.owners import ANONYMOUS, Sender
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.ledger import JobQueue, ending
from tests.waiting import until

log = structlog.get_logger(__name__)

MODELS = """
[models.labels]
task = "text-classification"
source = "no/such/folder"
aliases = ["moods"]
max_inputs = 100

[models.vectors]
task = "feature-extraction"
source = "no/such/folder"

[models.ranker]
task = "text-ranking"
source = "no/such/folder"

[models.writer]
task = "text-generation"
source = "no/such/folder"

[models.pictures]
task = "image-classification"
source = "no/such/folder"

[models.masks]
task = "image-segmentation"
source = "no/such/folder"
"""
NAMES = ("labels", "vectors", "ranker", "writer", "pictures", "masks")

Work = Callable[[Any], dict[str, Any]]
"""From an input to its result."""


def line(number: int, body: Any) -> Line:
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    return Line(number, f"line-{number}", data)


def batch(url: str, name: str = "1", sender: Sender = ANONYMOUS, **fields: Any) -> Batch:
    asked = Asked(
        endpoint=url, input_file_id="file-1", completion_window="24h", window=86_400, sender=sender, **fields
    )
    return Batch(
        id=f"batch_{name}", asked=asked, status=BatchState.IN_PROGRESS, created_at=0, expires_at=86_400_000
    )


def rows(encoded: Sequence[bytes]) -> dict[str, Any]:
    """The rows by their custom ids."""
    assert all(b"\n" not in row for row in encoded)
    decoded = [msgspec.json.decode(row) for row in encoded]
    found = {row["custom_id"]: row for row in decoded}
    assert len(found) == len(decoded)
    return found


class HeldFiles:
    """Files of alice, in memory. `ranges` are what was read of them."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self.ranges: list[tuple[int, int]] = []

    async def get(self, file_id: str, *, sees: str | None) -> File:
        if file_id not in self.contents or sees not in (None, "alice"):
            raise FileNotFound(f"there is no file {file_id}")
        size = len(self.contents[file_id])
        return File(
            id=file_id,
            owner="alice",
            purpose="user_data",
            bytes=size,
            created=0,
            expires=None,
            filename="media.zip",
        )

    async def content(self, file: File, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        if file.id not in self.contents:
            raise FileNotFound(f"there is no file {file.id}")
        part = self.contents[file.id][start:end]
        self.ranges.append((start, start + len(part)))
        for at in range(0, len(part), 1_000):
            yield part[at : at + 1_000]


class Running:
    """Lines that run, and the worker's side of their queue."""

    def __init__(self, services: Services, queue: JobQueue, client: httpx.AsyncClient) -> None:
        self.services = services
        self.queue = queue
        self.client = client
        ends = JobEnds(services.ledger, services.subscriber)
        self.files = HeldFiles()
        self.ends = ends
        media = LineMedia(
            services.links, cast(Files, self.files), services.catalog, services.settings, Retries(log)
        )
        tools = Tools(services.ledger, ends, services.settings, media)
        self.lines = JobLines(tools, services.dialects.line_calls, services.catalog)

    def begin(self, of: Batch, lines: Sequence[Line], stop: Stop | None = None) -> "asyncio.Task[Rows]":
        return asyncio.create_task(self.lines.run(of, 0, lines, Stop() if stop is None else stop))

    async def ran(
        self, of: Batch, lines: Sequence[Line], model: str, work: Work
    ) -> tuple[Rows, list[list[Any]]]:
        """Runs lines to their end. Returns their rows, and the inputs of each job."""
        running, jobs = self.begin(of, lines), list[list[Any]]()

        async def step() -> bool:
            if not running.done():
                jobs.extend([await self.work(each, model, work) for each in await self.claimed(model)])
            return running.done()

        await until(step)
        return await running, jobs

    async def claimed(self, model: str) -> list[Claimed]:
        found, _ = await self.queue.claim(model, 10_000)
        return found

    async def claim_some(self, model: str, jobs: int = 1) -> list[Claimed]:
        """Claims so many jobs, once they wait."""
        found: list[Claimed] = []

        async def enough() -> bool:
            found.extend(await self.claimed(model))
            return len(found) >= jobs

        await until(enough)
        return found

    async def work(self, claimed: Claimed, model: str, work: Work) -> list[Any]:
        """Ends a job with the results of its inputs, which it returns."""
        inputs = inputs_of(claimed)
        refused = await self.queue.finish(model, [ending(claimed, [work(one) for one in inputs], model)])
        assert not refused
        return inputs


def inputs_of(claimed: Claimed) -> list[Any]:
    return list(views.inputs_of(claimed.payload).inputs)


def envelope_of(claimed: Claimed) -> dict[str, Any]:
    return decode_payload(claimed.payload).k


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    models = tmp_path / "models.toml"
    models.write_text(MODELS)
    return Settings(redis_url=redis_url, data_dir=tmp_path, models_file=models)


@pytest.fixture
async def running(settings: Settings, redis: ArqRedis) -> AsyncIterator[Running]:
    queue = JobQueue(redis, settings, NAMES)
    async with mounted(settings) as (client, services):
        yield Running(services, queue, client)
    await queue.close()
