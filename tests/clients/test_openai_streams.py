"""Streams of OpenAI's client: they equal the whole text, and a lost engine is an error."""

import asyncio
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from jobs.ledger.leasing import Claimed
from jobs.ledger.partials import Output
from jobs.settings import Settings
from tests.api.api_process import serving as serving_api
from tests.clients import models
from tests.clients.process import ClientProcess, ClientRaised
from tests.clients.test_openai import CHAT, TEXTS
from tests.gate import Gate
from tests.ledger import JobQueue
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.engine.pipelines.tiny.text import BUILDERS

REQUEST: dict[str, Any] = {"model": MODEL, "messages": CHAT, "max_tokens": 40, "temperature": 0}
TOKENS = 40
GATED: dict[str, Any] = {
    "pipeline": "tests.worker.gated_generation:GatedGeneration",
    "input": "json",
    "parameters": {
        "max_new_tokens": "integer",
        "do_sample": "boolean",
        "return_full_text": "boolean",
        "details": "boolean",
        "stop": "array",
    },
}


@pytest.fixture
def gated(settings: Settings, tmp_path: Path) -> tuple[Settings, Path]:
    """Settings of an API whose model `sentiment` is one of texts, and its checkpoint."""
    BUILDERS["text-generation-at-length"](source := tmp_path / "model")
    (source / "chat_template.jinja").write_text(models.TEMPLATE, encoding="utf-8")
    file = tmp_path / "models.toml"
    file.write_text(f'[models.{MODEL}]\ntask = "text-generation"\nsource = "{source}"\n')
    return settings.model_copy(update={"models_file": file}), source


async def chats_are_whole(url: str, clients: ClientProcess) -> None:
    whole = await clients.call("openai_sdk:chat", url=url, **REQUEST)
    options = {"include_usage": True}
    chunks = await clients.call("openai_sdk:stream_chat", url=url, **REQUEST, stream_options=options)
    *parts, last = chunks
    assert parts[0]["choices"][0]["delta"]["role"] == "assistant"
    texts = [part["choices"][0]["delta"]["content"] or "" for part in parts]
    assert "".join(texts) == whole["choices"][0]["message"]["content"]
    assert [part["choices"][0]["finish_reason"] for part in parts] == [None] * (len(parts) - 1) + ["length"]
    assert last["choices"] == []
    assert last["usage"] == whole["usage"]
    assert len({chunk["id"] for chunk in chunks}) == 1


async def completions_are_whole(url: str, clients: ClientProcess) -> None:
    request = {"model": MODEL, "prompt": TEXTS, "max_tokens": 20, "temperature": 0, "stop": ["."]}
    whole = await clients.call("openai_sdk:complete", url=url, **request)
    chunks = await clients.call("openai_sdk:stream_completion", url=url, **request)
    texts = dict.fromkeys(range(len(TEXTS)), "")
    ends = {}
    for chunk in chunks:
        [choice] = chunk["choices"]
        texts[choice["index"]] += choice["text"]
        if choice["finish_reason"]:
            ends[choice["index"]] = choice["finish_reason"]
    assert list(texts.values()) == [choice["text"] for choice in whole["choices"]]
    assert ends == {choice["index"]: choice["finish_reason"] for choice in whole["choices"]}


async def texts_are_the_same_while_32_stream(url: str, clients: ClientProcess) -> None:
    requests = [
        {**REQUEST, "messages": [{"role": "user", "content": f"{TEXTS[i % 4]} {'good ' * (i // 4)}"}]}
        for i in range(32)
    ]
    streamed = await clients.call("openai_sdk:streams_at_once", url=url, requests=requests)
    for i in range(0, 32, 8):
        whole = await clients.call("openai_sdk:chat", url=url, **requests[i])
        assert streamed[i] == whole["choices"][0]["message"]["content"]


async def what_fails_before_the_first_word_is_an_error(url: str, clients: ClientProcess) -> None:
    with pytest.raises(ClientRaised, match="share 1024 tokens") as raised:
        await clients.call("openai_sdk:stream_chat", url=url, **{**REQUEST, "max_tokens": 2_000})
    assert (raised.value.kind, raised.value.status) == ("BadRequestError", 400)


async def test_streams(
    queue: JobQueue,
    serving: Serving,
    gated: tuple[Settings, Path],
    gate: Gate,
    clients: ClientProcess,
    tmp_path: Path,
) -> None:
    """One after the other, because an engine takes seconds to start."""
    settings, source = gated
    options = {"gate": str(gate.path), "tokens": TOKENS // 2}
    async with (
        serving_api(settings) as (client, _),
        serving(**GATED, source=str(source), options=options) as worker,
    ):
        url = str(client.base_url)
        gate.open()
        await chats_are_whole(url, clients)
        await completions_are_whole(url, clients)
        await texts_are_the_same_while_32_stream(url, clients)
        await what_fails_before_the_first_word_is_an_error(url, clients)
        gate.path.unlink()
        request = {"model": MODEL, "prompt": "the bridge", "max_tokens": TOKENS, "temperature": 0}
        file = tmp_path / "text"
        reading = asyncio.create_task(
            clients.call("openai_sdk:stream_into", url=url, file=str(file), **request)
        )

        async def begun() -> bool:
            return file.exists() and bool(file.read_text())

        await until(begun)
        assert worker.engine.pid is not None
        os.kill(worker.engine.pid, signal.SIGKILL)
        ended = await reading
        assert "the text started again" in ended["error"]
        assert ended["kind"] == "APIError"
        assert ended["text"] == file.read_text(), "no word came again"
        gate.open()
        whole = await clients.call("openai_sdk:complete", url=url, **request)
        assert whole["choices"][0]["text"].startswith(ended["text"])


async def test_a_client_that_leaves_cancels_its_job(
    queue: JobQueue, gated: tuple[Settings, Path], clients: ClientProcess
) -> None:
    """Without a worker that could end the text before."""
    async with serving_api(gated[0]) as (client, _):
        how = {"model": MODEL, "prompt": "the bridge", "max_tokens": TOKENS}
        leaving = asyncio.create_task(
            clients.call("openai_sdk:leave_after", url=str(client.base_url), chunks=1, **how)
        )

        jobs: list[Claimed] = []

        async def claimed() -> bool:
            jobs.extend((await queue.claim(MODEL, 1))[0])
            return bool(jobs)

        await until(claimed)
        [job] = jobs
        await queue.start(jobs)
        await queue.append(job, 0, Output(0, "the", 1))
        assert await leaving == f"cmpl-{job.id}"

        async def cancelled() -> bool:
            return bool((await client.get(f"/v1/jobs/{job.id}")).json()["status"] == "cancelled")

        await until(cancelled)
