"""Objects of batches that have no record any more are deleted."""

import asyncio

import pytest

from bulk.runner import leftovers
from bulk.runner.janitor import clean_storage
from bulk.runner.leftovers import delete_leftovers
from bulk.runner.lines.interface import Rows
from bulk.runner.parts import Parts
from jobs.store.connection import cancel
from tests.bulk.contents import stored
from tests.bulk.runner.stand import Stand
from tests.bulk.runner.test_runner import LINES
from tests.waiting import until

GONE = f"batch_{0:032}"


async def test_objects_of_a_batch_without_a_record_are_deleted(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await stand.create(LINES)
    for batch_id in (kept, GONE):
        for chunk in range(2):
            await Parts(stand.storage, batch_id).put_part(chunk, Rows([b"{}"], []))
    assert await delete_leftovers(stand.runs, stand.storage) == 0, "they are young"
    monkeypatch.setattr(leftovers, "ORPHAN_AGE", -60.0)
    cleaning = asyncio.create_task(clean_storage(stand.files, stand.runs, stand.storage))

    async def deleted() -> bool:
        return not await stored(stand.storage, f"batches/{GONE}")

    try:
        await until(deleted)
    finally:
        await cancel(cleaning)
    assert len(await stored(stand.storage, f"batches/{kept}")) == 2
