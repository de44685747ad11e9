"""Keeps a copy of what is in Redis current, through outages and bugs."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NoReturn

from structlog.typing import FilteringBoundLogger

from jobs.errors import QueueUnavailable
from jobs.store.outage import Outage


async def keep_current(
    refresh: Callable[[], Awaitable[object]],
    seconds: float,
    what: str,
    log: FilteringBoundLogger,
    meanwhile: str = "using known ones",
) -> NoReturn:
    """Calls `refresh` every so many seconds. Never returns.

    `what` names the records in the log, and `meanwhile` is what happens while they cannot be read.
    """
    outage = Outage(log, f"{what} cannot be read, {meanwhile}", f"{what} can be read again")
    while True:
        try:
            await refresh()
            outage.succeeded()
        except QueueUnavailable as error:
            outage.failed(error)
        except Exception:  # after a bug, later changes must still be seen
            log.exception(f"{what} cannot be refreshed")
        await asyncio.sleep(seconds)
