"""Stand: batches, files and a runner of them in this process, on a real Valkey and a folder."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from bulk.batches import keys
from bulk.batches.batch import Batch, BatchState
from bulk.batches.batches import Batches
from bulk.batches.runs import Runs, Taken
from bulk.files.file import NewFile
from bulk.files.files import Files
from bulk.runner.batch_run import BatchRun
from bulk.runner.lines.interface import Lines
from bulk.runner.runner import Runner
from bulk.storage.storage import Storage
from jobs.catalog import ModelCatalog
from jobs.ledger.shard import Shard
from jobs.settings import Settings
from jobs.store.connection import cancel
from tests.bulk.batches.table import asked, lapse
from tests.bulk.runner.echoing import OTHER, SPEC
from tests.waiting import until


class Stand:
    """Everything of a bulk process but its models: see `Echoing`."""

    def __init__(self, shard: Shard, settings: Settings, lines: Lines) -> None:
        self.shard = shard
        self.settings = settings
        self.lines = lines
        self.storage = Storage(settings)
        self.files = Files(shard, self.storage)
        self.batches = Batches(shard)
        self.runs = Runs(shard)

    def run_of(self, taken: Taken) -> BatchRun:
        catalog = ModelCatalog([SPEC, OTHER], self.settings.data_dir)
        return BatchRun(taken, self.runs, self.files, self.storage, self.lines, catalog, self.settings)

    @asynccontextmanager
    async def runner(self, at_once: int = 4) -> AsyncIterator[asyncio.Task[None]]:
        """A runner, which is stopped in an orderly way at the end."""
        task = asyncio.create_task(Runner(self.runs, at_once, self.run_of).run())
        try:
            yield task
        finally:
            await cancel(task)

    async def upload(self, content: bytes, owner: str = "") -> str:
        async def parts() -> AsyncIterator[bytes]:
            yield content

        new = NewFile(owner=owner, purpose="batch", filename="input.jsonl")
        return (await self.files.create(new, parts())).id

    async def create(self, content: bytes, owner: str = "", **changed: Any) -> str:
        """A batch of a file with that content."""
        file_id = await self.upload(content, owner)
        return (await self.batches.create(asked(owner, input_file_id=file_id, **changed))).id

    async def set(self, batch_id: str, field: str, value: str) -> None:
        """Changes a field of a batch's record."""
        await self.shard.redis.hset(self.shard.key(keys.BATCH, batch_id), field, value)  # type: ignore[misc]

    async def lose(self, batch_id: str, before: int) -> None:
        """The batch as if its runner had died; `before` others had, and none made progress."""
        await self.set(batch_id, "lost", str(before))
        await self.set(batch_id, "token", "dead")
        await lapse(self.shard, batch_id)

    async def batch(self, batch_id: str) -> Batch:
        return await self.batches.retrieve(batch_id, sees=None)

    async def reached(self, batch_id: str, *states: BatchState) -> Batch:
        """Returns once the batch is in one of the states."""

        async def there() -> bool:
            return (await self.batch(batch_id)).status in states

        await until(there)
        return await self.batch(batch_id)

    async def ended(self, batch_id: str) -> Batch:
        """Returns once the batch has ended and nothing is left of its work."""
        found = await self.reached(batch_id, *(state for state in BatchState if state.terminal))

        async def nothing_left() -> bool:
            return [page async for page in self.storage.list(f"batches/{batch_id}")] in ([], [[]])

        await until(nothing_left)
        return found

    async def rows(self, file_id: str | None) -> list[dict[str, Any]]:
        """The rows of an output or error file; none without a file."""
        if file_id is None:
            return []
        file = await self.files.get(file_id, sees=None)
        content = b"".join([part async for part in self.files.content(file)])
        assert len(content) == file.bytes
        return [msgspec.json.decode(line) for line in content.splitlines()]

    async def outcomes(self, batch: Batch) -> dict[str, str]:
        """custom_id -> outcome: the text, or `failed`, or the code of an error. Fails for a line with two."""
        output, errors = await self.rows(batch.output_file_id), await self.rows(batch.error_file_id)
        found: dict[str, str] = {}
        for row in (*output, *errors):
            assert row["custom_id"] not in found, f"{row['custom_id']} has two outcomes"
            found[row["custom_id"]] = _outcome(row)
        assert (batch.counts.completed, batch.counts.failed) == (len(output), len(errors))
        assert all(row["response"]["status_code"] == 200 and row["error"] is None for row in output)
        return found


def _outcome(row: dict[str, Any]) -> str:
    if row["response"] is None:
        return str(row["error"]["code"])
    return "failed" if row["response"]["status_code"] != 200 else str(row["response"]["body"]["text"])
