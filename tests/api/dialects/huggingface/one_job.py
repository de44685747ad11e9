"""A stand-in for a worker, for a request that becomes one job."""

import asyncio
from collections.abc import Callable
from typing import Any

from jobs.ledger import views
from tests.ledger import JobQueue, ending
from tests.waiting import until

LABEL = [{"label": "POSITIVE", "score": 0.98}]


async def answered(
    queue: JobQueue,
    model: str,
    asking: Any,
    result: dict[str, Any] | Callable[[str], dict[str, Any]] | None = None,
) -> tuple[Any, views.JobInputs]:
    """The answer of a request, and the job that it became, which ends with the result for each input.

    The result may depend on the job's id.
    """
    task = asyncio.ensure_future(asking)
    claimed: list[Any] = []

    async def found() -> bool:
        claimed.extend((await queue.claim(model, 1))[0])
        return bool(claimed) or task.done()

    await until(found)
    assert claimed, (await task).text
    given = views.inputs_of(claimed[0].payload)
    if callable(result):
        result = result(claimed[0].id)
    results = [result or {"output": LABEL} for _ in given.inputs]
    await queue.finish(model, [ending(claimed[0], results, model)])
    return await task, given
