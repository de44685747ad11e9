"""Loops that run beside a block of code and fail with it; work that an event can cancel."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from jobs.store.connection import cancel

Loop = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def beside(loop: Loop) -> AsyncIterator[None]:
    """Runs a loop beside the block. If the loop fails, the block is cancelled and the loop's error raised."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop())
        try:
            yield
        finally:
            await cancel(task)


async def unless(event: asyncio.Event, work: Coroutine[Any, Any, object]) -> bool:
    """Does the work, or cancels it if the event comes first; returns whether the work was done."""
    task, ending = asyncio.ensure_future(work), asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([task, ending], return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return task.done()
    finally:
        await cancel(task, ending)
