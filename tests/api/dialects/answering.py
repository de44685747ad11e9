"""Answers for synchronous calls: a stand-in for a worker that ends the one job of a request."""

import asyncio
from typing import Any

import httpx

from jobs.ledger.leasing import Claimed
from tests.ledger import JobQueue, run_one
from tests.waiting import until


async def asked(
    client: httpx.AsyncClient,
    queue: JobQueue,
    path: str,
    body: Any,
    results: list[dict[str, Any]],
    model: str,
    **request: Any,
) -> tuple[httpx.Response, Claimed]:
    """Sends a request and ends its job with the results; returns the answer, and the job as claimed."""
    asking = asyncio.create_task(client.post(path, json=body, **request))
    claimed: list[Claimed] = []

    async def ran() -> bool:
        if asking.done():  # refused
            raise AssertionError(asking.result().text)
        if (found := await run_one(queue, results, model)) is not None:
            claimed.append(found)
        return found is not None

    await until(ran)
    return await asking, claimed[0]
