"""Texts of a real model as clients get them, though its engine crashes in the middle."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

from httpx_sse import ServerSentEvent, aconnect_sse

from jobs.settings import Settings
from tests.api.api_process import serving as serving_api
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.worker.conftest import MODEL, Serving
from tests.worker.engine.pipelines.tiny.text import BUILDERS

TOKENS = 40
PARAMETERS = {
    "max_new_tokens": TOKENS,
    "do_sample": True,
    "temperature": 2.0,
    "return_full_text": False,
}
"""Each attempt draws another text."""

GATED: dict[str, Any] = {
    "pipeline": "tests.worker.gated_generation:GatedGeneration",
    "parameters": {
        "max_new_tokens": "integer",
        "do_sample": "boolean",
        "temperature": "number",
        "return_full_text": "boolean",
    },
}


class Reader:
    """A client that follows a job, as the documentation says: `restarted` drops the text of an input."""

    def __init__(self) -> None:
        self.texts: dict[int, str] = {}
        self.tokens: dict[int, list[int]] = {}
        self.dropped: list[str] = []
        self.last: ServerSentEvent | None = None

    def read(self, event: ServerSentEvent) -> None:
        if not event.data:  # what httpx_sse makes of a comment, which keeps a quiet stream alive
            return
        self.last, data = event, event.json()
        if event.event == "restarted":
            self.dropped.append(self.texts.pop(data["index"]))
            del self.tokens[data["index"]]
        elif event.event == "output":
            index = data["index"]
            self.texts[index] = self.texts.get(index, "") + data["text"]
            self.tokens.setdefault(index, []).append(data["tokens"])


async def test_a_crash_restarts_the_texts_which_become_those_of_the_results(
    queue: JobQueue, serving: Serving, settings: Settings, gate: Gate, tmp_path: Path
) -> None:
    BUILDERS["text-generation-at-length"](source := tmp_path / "model")
    models = tmp_path / "models.toml"
    models.write_text(f'[models.{MODEL}]\ntask = "text-generation"\nsource = "{source}"\n')
    options = {"gate": str(gate.path), "tokens": TOKENS // 2}
    settings = settings.model_copy(update={"models_file": models})
    prompts = ["the bridge", "Anna wrote a letter to the town and", "late"]
    reader = Reader()
    async with (
        serving_api(settings) as (client, _),
        serving(**GATED, source=str(source), options=options) as worker,
        asyncio.timeout(120),
    ):
        body = {"inputs": prompts, "parameters": PARAMETERS, "stream": True}
        url = (await client.post("/v1/jobs", json=body)).json()["urls"]["events"]
        async with aconnect_sse(client, "GET", url) as source_of_events:
            async for event in source_of_events.aiter_sse():
                reader.read(event)
                if len(reader.texts) == len(prompts):
                    break
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)
        gate.open()
        assert reader.last is not None
        headers = {"last-event-id": reader.last.id}
        async with aconnect_sse(client, "GET", url, headers=headers) as source_of_events:
            async for event in source_of_events.aiter_sse():
                reader.read(event)
    assert reader.last.event == "succeeded"
    texts = [result["output"][0]["generated_text"] for result in reader.last.json()["results"]]
    assert reader.texts == dict(enumerate(texts))
    assert len(reader.dropped) >= len(prompts)
    assert all(reader.dropped), "a text that has not begun needs no restart"
    for tokens in reader.tokens.values():
        assert tokens == sorted(set(tokens))
        assert TOKENS - 1 <= tokens[-1] <= TOKENS  # the last token may have no text, and then no event
