"""Stopping: work that must be done although its task was cancelled, such as giving a batch back."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any


async def uninterrupted(work: Coroutine[Any, Any, None]) -> None:
    """Does the work, however often the task is cancelled meanwhile. Raises what the work raises."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({task})
    task.result()
