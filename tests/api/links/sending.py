"""Sends requests with links."""

from typing import Any

import httpx

from jobs.problem_kinds import TYPE
from tests.jobs.media.samples import image

PNG, JPEG = image("PNG"), image("JPEG")


async def submit(client: httpx.AsyncClient, inputs: Any, status: int = 422, **more: Any) -> dict[str, Any]:
    """The answer, which must have this status."""
    answer = await client.post("/v1/jobs", json={"inputs": inputs, **more})
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    assert status == 202 or found["type"] == f"{TYPE}invalid-request"
    return found
