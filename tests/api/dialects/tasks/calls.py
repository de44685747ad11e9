"""Calls of dialects, while this test stands in for the worker."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx

from api.services import Services
from jobs.ledger import views
from jobs.ledger.views import JobInputs
from tests.ledger import JobQueue, run_one
from tests.waiting import until

MODELS = """
[models.ranker]
task = "text-ranking"
source = "no/such/folder"
max_inputs = 100

[models.labels]
task = "text-classification"
source = "no/such/folder"
max_inputs = 3

[models."org/vectors"]
task = "feature-extraction"
source = "no/such/folder"
aliases = ["vectors"]
max_inputs = 3

[models.others]
task = "feature-extraction"
source = "no/such/folder"
defaults = { pooling = "mean", normalize = true }

[models.writer]
task = "text-generation"
source = "no/such/folder"

[models.similar]
task = "sentence-similarity"
source = "no/such/folder"
"""


class Calls:
    """A client of the API, and the worker's side of the queue."""

    def __init__(self, client: httpx.AsyncClient, services: Services, queue: JobQueue) -> None:
        self.client = client
        self.services = services
        self._queue = queue

    async def sent(self, path: str, body: Any, **options: Any) -> "asyncio.Task[httpx.Response]":
        """Sends the request; returns its answer to come once its job was submitted."""
        asking = asyncio.create_task(self.client.post(path, json=body, **options))

        async def submitted() -> bool:
            return asking.done() or any(depth.waiting for depth in (await self._queue.depth()).values())

        await until(submitted)
        return asking

    async def post(
        self, path: str, body: Any, model: str, outputs: Sequence[Any], **options: Any
    ) -> tuple[httpx.Response, JobInputs]:
        """Sends the request and answers its job. Returns the answer, and what the job asked for."""
        asking = await self.sent(path, body, **options)
        results = [each if _is_error(each) else {"output": each} for each in outputs]
        claimed = await run_one(self._queue, results, model)
        assert claimed is not None, asking
        return await asking, views.inputs_of(claimed.payload)


def _is_error(output: Any) -> bool:
    return isinstance(output, dict) and "error" in output
