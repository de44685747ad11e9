"""How each server is asked for a stream of tokens, and what its events mean.

A dialect takes a prompt and its limit and yields pieces of the answer as they arrive.
"""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

from bench.errors import BenchError
from bench.generation.http import request


class Piece(NamedTuple):
    """More of an answer."""

    text: str
    tokens: int
    """New tokens in this piece."""


Dialect = Callable[[int, str, str, int], AsyncIterator[Piece]]
"""Takes port, model, prompt and limit. Raises BenchError, OSError or EOFError."""


def batchline_body(model: str, prompt: str, limit: int, **more: Any) -> str:
    """Returns the body of a submission."""
    parameters = {"max_new_tokens": limit, "do_sample": False, "return_full_text": False}
    return json.dumps({"model": model, "inputs": prompt, "parameters": parameters, **more})


async def batchline(port: int, model: str, prompt: str, limit: int) -> AsyncIterator[Piece]:
    """Submits a job and follows its events: `output` has new text and the number of tokens so far."""
    body = batchline_body(model, prompt, limit, stream=True).encode()
    async with request(port, "POST", "/v1/jobs", body) as answer:
        given = await answer.body()
        if answer.status == 422 and b"stream is unknown" in given:
            raise BenchError("this version does not stream partial answers")
        if answer.status != 202:
            raise BenchError(f"{answer.status}: {given[:300].decode(errors='replace')}")
    known = 0
    async with request(port, "GET", f"/v1/jobs/{json.loads(given)['id']}/events") as answer:
        async for event in answer.events():
            if event.name == "output":
                data = json.loads(event.data)
                yield Piece(data["text"], data["tokens"] - known)
                known = data["tokens"]
            elif event.name == "restarted":
                raise BenchError("the worker was restarted while it was measured")
            elif event.name in ("failed", "cancelled", "error"):
                raise BenchError(f"{event.name}: {event.data[:300]}")
            elif event.name == "succeeded":
                return
    raise BenchError(f"the events ended before the job, with status {answer.status}")


async def completions(port: int, model: str, prompt: str, limit: int) -> AsyncIterator[Piece]:
    """Asks OpenAI's /v1/completions. It does not count tokens, but each of this model's is a word."""
    body = json.dumps(
        {"model": model, "prompt": prompt, "max_tokens": limit, "temperature": 0, "stream": True}
    )
    async with request(port, "POST", "/v1/completions", body.encode()) as answer:
        if answer.status != 200:
            raise BenchError(f"{answer.status}: {(await answer.body())[:300].decode(errors='replace')}")
        async for event in answer.events():
            if event.data == "[DONE]":
                return
            data = json.loads(event.data)
            if "error" in data:
                raise BenchError(f"{data['error']}"[:300])
            text = "".join(choice["text"] for choice in data["choices"])
            if text:
                yield Piece(text, len(text.split()))


DIALECTS: dict[str, Dialect] = {"batchline": batchline, "completions": completions}
