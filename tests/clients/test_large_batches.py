"""OpenAI's client with files of 50,000 lines, the most by default: each line has one answer, its own."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.clients import models
from tests.clients.process import ClientProcess
from tests.clients.test_openai import vectors
from tests.clients.test_openai_batches import requests
from tests.waiting import until
from tests.worker.engine.pipelines.conftest import plain_pipeline

pytestmark = pytest.mark.thorough

LINES = 50_000
OPEN = ("validating", "in_progress", "finalizing")
TEXTS = [
    f"{first} {second} {third}"
    for first in ("good", "late", "closed", "the", "anna", "paris", "we", "met", "wrote", "parcel")
    for second in ("letter", "bridge", "evening", "in", "was", "a", "?", ".", "late", "good")
    for third in (
        "?",
        ".",
        "late",
        "good",
        "anna",
        "the bridge",
        "in the evening",
        "was closed",
        "letter",
        "we",
    )
]


async def test_embeddings(url: str, clients: ClientProcess, folder: Path) -> None:
    bodies = [{"model": "org/embedder", "input": TEXTS[i % len(TEXTS)]} for i in range(LINES)]
    answers = await run(clients, url, "/v1/embeddings", bodies)
    embeddings = torch.tensor([answer["data"][0]["embedding"] for answer in answers])
    expected = vectors(folder, TEXTS).repeat(LINES // len(TEXTS), 1)
    torch.testing.assert_close(embeddings, expected, atol=1e-5, rtol=0)


async def test_sentiment(url: str, clients: ClientProcess, folder: Path) -> None:
    bodies = [{"model": "moods", "inputs": [TEXTS[i % len(TEXTS)]]} for i in range(LINES)]
    answers = await run(clients, url, "/v1/jobs", bodies)
    outputs = [answer["results"][0]["output"] for answer in answers]
    pipeline = plain_pipeline(models.source(folder, "moods"), "text-classification")
    expected = [pipeline(text)[0] for text in TEXTS] * (LINES // len(TEXTS))
    assert [output["label"] for output in outputs] == [each["label"] for each in expected]
    scores = (torch.tensor([each["score"] for each in found]) for found in (outputs, expected))
    torch.testing.assert_close(*scores, atol=1e-5, rtol=0)


async def run(clients: ClientProcess, url: str, endpoint: str, bodies: list[dict[str, Any]]) -> list[Any]:
    """Runs a batch with a line for each body, and returns the bodies of the answers in the same order."""
    lines = requests(endpoint, *bodies)
    file = await clients.call("openai_batches:upload", url=url, lines=lines)
    batch = await clients.call("openai_batches:create", url=url, file=file["id"], endpoint=endpoint)
    retrieve = partial(clients.call, "openai_batches:retrieve", url=url, batch=batch["id"])

    async def ended() -> bool:
        return (await retrieve())["status"] not in OPEN

    await until(ended, 600)
    batch = await retrieve()
    assert (batch["status"], batch["error_file_id"]) == ("completed", None)
    assert batch["request_counts"] == {"total": LINES, "completed": LINES, "failed": 0}
    content = await clients.call("openai_batches:content", url=url, file=batch["output_file_id"])
    found = [json.loads(line) for line in content.splitlines()]
    assert len(found) == LINES
    answers = {line["custom_id"]: line["response"] for line in found}
    assert answers.keys() == {line["custom_id"] for line in lines}
    assert all(answer["status_code"] == 200 for answer in answers.values())
    return [answers[line["custom_id"]]["body"] for line in lines]
