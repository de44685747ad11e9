"""Streams of chats and completions, with a stand-in for the worker that writes the texts."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from httpx_sse import aconnect_sse

from api.services import Services
from jobs.ledger.leasing import Claimed
from jobs.ledger.partials import Output, Restarted
from jobs.settings import Settings
from tests.api.api_process import listening, serving
from tests.ledger import JobQueue, ending
from tests.waiting import until

MODEL = "writer"
CHAT = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True}


def output(text: str, reason: str = "length") -> dict[str, Any]:
    details = {"finish_reason": reason, "prompt_tokens": 3, "generated_tokens": 2}
    return {"output": [{"generated_text": text, "details": details}]}


class Stream:
    """A stream that is read, and the worker that writes its text."""

    def __init__(self, client: httpx.AsyncClient, services: Services, queue: JobQueue) -> None:
        self.client = client
        self.services = services
        self.queue = queue
        self.events: list[str] = []
        self.length = 0
        self.job: Claimed

    @property
    def chunks(self) -> list[dict[str, Any]]:
        return [json.loads(data) for data in self.events if data != "[DONE]"]

    async def read(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> None:
        async with aconnect_sse(self.client, "POST", path, json=body, headers=headers) as source:
            if source.response.is_error:
                await source.response.aread()
            source.response.raise_for_status()
            async for event in source.aiter_sse():
                self.events.append(event.data)

    async def claim(self) -> None:
        async def claimed() -> bool:
            found, _ = await self.queue.claim(MODEL, 10)
            if found:
                self.job = found[0]
                await self.queue.start(found, MODEL)
            return bool(found)

        await until(claimed)

    async def write(self, *entries: Output | Restarted) -> None:
        self.length = await self.queue.append(self.job, self.length, *entries)

    async def finish(self, *results: dict[str, Any]) -> None:
        await self.queue.finish(MODEL, [ending(self.job, list(results), MODEL)])

    async def sent(self, count: int) -> None:
        async def enough() -> bool:
            return len(self.events) >= count

        await until(enough)

    async def state(self) -> str:
        found: str = (await self.client.get(f"/v1/jobs/{self.job.id}")).json()["status"]
        return found


@asynccontextmanager
async def streaming(
    settings: Settings, queue: JobQueue, path: str, body: dict[str, Any], **headers: str
) -> AsyncIterator[tuple[Stream, asyncio.Task[None]]]:
    async with serving(settings) as (client, services):
        await listening(services)
        stream = Stream(client, services, queue)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        reading = asyncio.create_task(stream.read(path, body, named))
        await stream.claim()
        yield stream, reading
        reading.cancel()


async def test_a_chat_ends_with_its_reason_and_its_usage(settings: Settings, queue: JobQueue) -> None:
    body = {**CHAT, "stream_options": {"include_usage": True}}
    async with streaming(settings, queue, "/v1/chat/completions", body) as (stream, reading):
        await stream.write(Output(0, "Good ", 1))
        await stream.sent(2)
        await stream.write(Output(0, "eve", 2))
        await stream.finish(output("Good evening", "eos_token"))
        await reading
    assert stream.events[-1] == "[DONE]"
    *texts, last, usage = stream.chunks
    assert texts[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert [each["choices"][0]["delta"]["content"] for each in texts] == ["", "Good ", "eve", "ning"]
    assert last["choices"] == [{"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop"}]
    assert (usage["choices"], usage["usage"]["total_tokens"]) == ([], 5)
    assert {each["object"] for each in stream.chunks} == {"chat.completion.chunk"}
    assert {each["id"] for each in stream.chunks} == {f"chatcmpl-{stream.job.id}"}


async def test_a_text_that_a_worker_did_not_stream_comes_at_once(settings: Settings, queue: JobQueue) -> None:
    body = {"prompt": ["a", "b"], "stream": True}
    async with streaming(settings, queue, "/v1/completions", body) as (stream, reading):
        await stream.finish(output("one", "stop_sequence"), output(""))
        await reading
    choices = [each["choices"][0] for each in stream.chunks]
    assert [(each["index"], each["text"], each["finish_reason"]) for each in choices] == [
        (0, "one", None),
        (0, "", "stop"),
        (1, "", "length"),
    ]


@pytest.mark.parametrize("how", ["restarted", "changed", "failed"])
async def test_a_text_that_does_not_grow_on_ends_with_an_error(
    settings: Settings, queue: JobQueue, how: str
) -> None:
    async with streaming(settings, queue, "/v1/chat/completions", CHAT) as (stream, reading):
        await stream.write(Output(0, "Good ", 1))
        await stream.sent(2)
        if how == "restarted":
            await stream.write(Restarted(0), Output(0, "Good ", 1))
        else:
            failure = {
                "error": {"type": "urn:batchline:problem:engine-died", "title": "", "detail": "it died"}
            }
            await stream.finish(failure if how == "failed" else output("Bad"))
        await reading
        assert await stream.state() == {"restarted": "cancelled", "changed": "succeeded"}.get(how, how)
    error = stream.chunks[-1]["error"]
    expected = {"restarted": "started again", "changed": "text changed", "failed": "it died"}[how]
    assert expected in error["message"]
    assert (error["type"], "[DONE]" in stream.events, len(stream.chunks)) == ("server_error", False, 3)


async def test_a_restart_before_the_first_word_is_no_error(settings: Settings, queue: JobQueue) -> None:
    body = {"prompt": ["a", "b"], "stream": True}
    async with streaming(settings, queue, "/v1/completions", body) as (stream, reading):
        await stream.write(Output(0, "one", 1), Restarted(1))
        await stream.finish(output("one"), output("two"))
        await reading
    assert stream.events[-1] == "[DONE]"


async def test_what_fails_before_the_first_word_is_an_answer(settings: Settings, queue: JobQueue) -> None:
    async with streaming(settings, queue, "/v1/chat/completions", CHAT) as (stream, reading):
        failure = {"type": "urn:batchline:problem:input-failed", "title": "", "detail": "no chat template"}
        await stream.finish({"error": failure})
        with pytest.raises(httpx.HTTPStatusError) as raised:
            await reading
        answer = raised.value.response
        assert answer.status_code == 400
        assert answer.headers["x-batchline-job"] == stream.job.id


@pytest.mark.parametrize("key", ["", "k"])
async def test_a_client_that_leaves_cancels_its_job_unless_it_can_ask_again(
    settings: Settings, queue: JobQueue, key: str
) -> None:
    headers = {"idempotency_key": key} if key else {}
    async with streaming(settings, queue, "/v1/chat/completions", CHAT, **headers) as (stream, reading):
        await stream.write(Output(0, "Good ", 1))
        await stream.sent(2)
        reading.cancel()
        if not key:

            async def cancelled() -> bool:
                return await stream.state() == "cancelled"

            await until(cancelled)
            return
        await stream.finish(output("Good evening"))
        again = Stream(stream.client, stream.services, queue)
        await again.read("/v1/chat/completions", CHAT, {"idempotency-key": key})
        assert (
            "".join(each["choices"][0]["delta"].get("content", "") for each in again.chunks) == "Good evening"
        )


async def test_a_client_that_leaves_before_the_first_word_cancels_its_job(
    settings: Settings, queue: JobQueue
) -> None:
    async with streaming(settings, queue, "/v1/chat/completions", CHAT) as (stream, reading):
        reading.cancel()

        async def cancelled() -> bool:
            return await stream.state() == "cancelled"

        await until(cancelled)


@pytest.mark.parametrize("words", [0, 1])
async def test_a_job_continues_when_the_server_stops(settings: Settings, queue: JobQueue, words: int) -> None:
    async with streaming(settings, queue, "/v1/chat/completions", CHAT) as (stream, reading):
        if words:
            await stream.write(Output(0, "Good ", 1))
            await stream.sent(2)
        stream.services.subscriber.release_all()
        if words:
            await reading
            error = stream.chunks[-1]["error"]
        else:
            with pytest.raises(httpx.HTTPStatusError) as raised:
                await reading
            answer = raised.value.response
            assert (answer.status_code, answer.headers["x-batchline-job"]) == (504, stream.job.id)
            error = answer.json()["error"]
        assert await stream.state() == "running"
        assert error["code"] == "not_done_in_time"
        assert f"GET /v1/jobs/{stream.job.id}" in error["message"]


async def test_a_stream_that_is_asked_for_again_has_the_text_since_its_restart(
    settings: Settings, queue: JobQueue
) -> None:
    key = {"idempotency_key": "k"}
    async with streaming(settings, queue, "/v1/chat/completions", CHAT, **key) as (stream, reading):
        await stream.write(Output(0, "Good ", 1))
        await stream.sent(2)
        await stream.write(Restarted(0), Output(0, "Good ", 1))
        await reading
        assert "started again" in stream.chunks[-1]["error"]["message"]
        again = Stream(stream.client, stream.services, queue)
        asking = asyncio.create_task(again.read("/v1/chat/completions", CHAT, {"idempotency-key": "k"}))
        await again.sent(2)
        await stream.write(Output(0, "eve", 2))
        await again.sent(3)
        await stream.finish(output("Good evening"))
        await asking
    texts = [each["choices"][0]["delta"].get("content") for each in again.chunks]
    assert texts == ["", "Good ", "eve", "ning", None]
