"""`text_generation(stream=True)` of the client: what it gets of a text while the text grows."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from functools import partial
from typing import Any

import httpx
import pytest
from huggingface_hub import InferenceClient
from huggingface_hub.errors import GenerationError, ValidationError

from jobs.ledger import views
from jobs.ledger.partials import Output, Restarted
from jobs.problem_kinds import failure
from jobs.settings import Settings
from tests.api.api_process import serving
from tests.ledger import JobQueue, ending
from tests.waiting import until

PIECES = [Output(0, " there", 2), Output(0, " was", 3)]
DETAILS = {"finish_reason": "eos_token", "prompt_tokens": 4, "generated_tokens": 5}


@pytest.fixture
async def url(settings: Settings) -> AsyncIterator[str]:
    async with serving(settings) as (client, _):
        yield str(client.base_url.join("/models/writer"))


def whole(text: str) -> dict[str, Any]:
    return {"output": [{"generated_text": text, "details": DETAILS}]}


async def arrived(got: list[Any], count: int) -> bool:
    return len(got) == count


async def streamed(
    url: str,
    queue: JobQueue,
    pieces: Iterable[Output | Restarted],
    result: dict[str, Any],
    **parameters: Any,
) -> tuple[list[Any], Exception | None, dict[str, Any]]:
    """What the client gets of a text with these pieces, what it raises, and the parameters of the job."""
    client, got = InferenceClient(url), list[Any]()

    def read() -> None:
        for each in client.text_generation("Once", stream=True, **parameters):
            got.append(each)

    reading = asyncio.create_task(asyncio.to_thread(read))
    claimed: list[Any] = []

    async def found() -> bool:
        claimed.extend((await queue.claim("writer", 1))[0])
        return bool(claimed) or reading.done()

    await until(found)
    [job] = claimed
    await queue.start([job], "writer")
    length, more = 0, True
    for number, piece in enumerate(pieces):
        length = await queue.append(job, length, piece)
        more = more and isinstance(piece, Output)  # nothing arrives after a restart
        if more:
            await until(partial(arrived, got, number + 1))
    given = views.inputs_of(job.payload).parameters
    await queue.finish("writer", [ending(job, [result], "writer")])
    raised = (await asyncio.gather(reading, return_exceptions=True))[0]
    assert raised is None or isinstance(raised, Exception)
    return got, raised, given


async def test_the_pieces_add_up_to_the_text(url: str, queue: JobQueue) -> None:
    got, raised, given = await streamed(url, queue, PIECES, whole(" there was a king"), max_new_tokens=9)
    assert (raised, "".join(got)) == (None, " there was a king")
    assert got[:2] == [" there", " was"]
    assert given == {"max_new_tokens": 9, "return_full_text": False, "details": True}


async def test_a_model_without_pieces_streams_its_whole_text(url: str, queue: JobQueue) -> None:
    got, raised, _ = await streamed(url, queue, [], whole(" there was"))
    assert (raised, got) == (None, [" there was"])


async def test_the_last_event_has_the_details(url: str, queue: JobQueue) -> None:
    got, _, _ = await streamed(
        url, queue, PIECES, whole("Once there was"), details=True, return_full_text=True, seed=7
    )
    first, second, last = got
    assert (first.index, first.token.text, first.generated_text, first.details) == (2, " there", None, None)
    assert (second.token.text, last.token.text, last.token.special) == (" was", "", True)
    assert last.generated_text == "Once there was"
    shown = (last.details.finish_reason, last.details.generated_tokens, last.details.input_length)
    assert (*shown, last.details.seed) == ("eos_token", 5, 4, 7)


async def test_a_text_that_starts_again_ends_with_an_error(url: str, queue: JobQueue) -> None:
    got, raised, _ = await streamed(url, queue, [*PIECES, Restarted(0), *PIECES], whole(" there was"))
    assert got == [" there", " was"], "nothing is repeated"
    assert isinstance(raised, GenerationError)


async def test_a_text_that_ends_differently_is_an_error(url: str, queue: JobQueue) -> None:
    got, raised, _ = await streamed(url, queue, PIECES, whole(" here was"))
    assert got == [" there", " was"]
    assert isinstance(raised, GenerationError)


async def test_what_fails_before_the_text_is_refused(url: str, queue: JobQueue) -> None:
    empty = {"error": failure("invalid-request", "the text is empty")}
    got, raised, _ = await streamed(url, queue, [], empty)
    assert got == []
    assert isinstance(raised, ValidationError)
    assert "the text is empty" in str(raised)


async def test_the_events_are_those_of_text_generation_inference(url: str, queue: JobQueue) -> None:
    async with httpx.AsyncClient() as client:
        asking = asyncio.create_task(client.post(url, json={"inputs": "Once", "stream": True}, timeout=30))
        claimed: list[Any] = []

        async def found() -> bool:
            claimed.extend((await queue.claim("writer", 1))[0])
            return bool(claimed)

        await until(found)
        await queue.finish("writer", [ending(claimed[0], [whole(" there")], "writer")])
        reply = await asking
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.headers["x-batchline-job"] == claimed[0].id
    assert reply.text.startswith('data:{"generated_text":" there","details":{"finish_reason":"eos_token",')
