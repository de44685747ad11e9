"""OpenAI's own client: files and batches."""

import io
import json
import time
from typing import Any

from tests.clients.calls.openai_sdk import _client

ENDED = ("completed", "failed", "expired", "cancelled")


def upload(url: str, lines: list[dict[str, Any]], **options: Any) -> dict[str, Any]:
    """A file of requests."""
    content = io.BytesIO("".join(json.dumps(line) + "\n" for line in lines).encode())
    found: dict[str, Any] = (
        _client(url).files.create(file=("lines.jsonl", content), purpose="batch", **options).model_dump()
    )
    return found


def files(url: str, **query: Any) -> list[str]:
    """The ids of all files; the client asks for page after page."""
    return [file.id for file in _client(url).files.list(**query)]


def retrieved(url: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).files.retrieve(file).model_dump()
    return found


def content(url: str, file: str) -> str:
    found: str = _client(url).files.content(file).text
    return found


def deleted(url: str, file: str) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).files.delete(file).model_dump()
    return found


def create(url: str, file: str, endpoint: str, **options: Any) -> dict[str, Any]:
    """A batch of an uploaded file."""
    found: dict[str, Any] = (
        _client(url)
        .batches.create(input_file_id=file, endpoint=endpoint, completion_window="24h", **options)
        .model_dump()
    )
    return found


def retrieve(url: str, batch: str) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).batches.retrieve(batch).model_dump()
    return found


def ended(url: str, batch: str, seconds: float = 50.0) -> dict[str, Any]:
    """A batch, once it has ended."""
    client, deadline = _client(url), time.monotonic() + seconds
    while (found := client.batches.retrieve(batch)).status not in ENDED:
        assert time.monotonic() < deadline, found
        time.sleep(0.05)
    dumped: dict[str, Any] = found.model_dump()
    return dumped


def cancel(url: str, batch: str) -> dict[str, Any]:
    found: dict[str, Any] = _client(url).batches.cancel(batch).model_dump()
    return found


def batches(url: str, **query: Any) -> list[str]:
    """The ids of all batches; the client asks for page after page."""
    return [batch.id for batch in _client(url).batches.list(**query)]


def run(url: str, lines: list[dict[str, Any]], endpoint: str, **options: Any) -> dict[str, Any]:
    """A batch from its upload to its answers: the batch, and the lines of both files by `custom_id`."""
    file = upload(url, lines)["id"]
    batch = ended(url, create(url, file, endpoint, **options)["id"])
    answers: dict[str, Any] = {}
    for name in ("output_file_id", "error_file_id"):
        found = content(url, batch[name]).splitlines() if batch[name] else []
        answers[name] = {line["custom_id"]: line for line in map(json.loads, found)}
    return {"batch": batch, "outputs": answers["output_file_id"], "errors": answers["error_file_id"]}
