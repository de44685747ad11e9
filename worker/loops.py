"""Loops that run beside a block of code, and fail with it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

from jobs.connection import cancel

Loop = Callable[[], Coroutine[Any, Any, None]]


@asynccontextmanager
async def beside(loop: Loop) -> AsyncIterator[None]:
    """Runs a loop beside the block; should the loop fail, the block is cancelled and its error raised."""
    async with asyncio.TaskGroup() as group:
        task = group.create_task(loop())
        try:
            yield
        finally:
            await cancel(task)
