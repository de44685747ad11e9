"""Streams of chats and completions: chunks as events, then `[DONE]`; an error is the last event."""

from collections.abc import AsyncIterator
from functools import partial
from typing import Any, Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api.dialects import streamed
from api.dialects.openai import errors, generation
from api.dialects.openai.generation import Form
from api.dialects.streamed import SILENCE, Ended, Step, Text, rest
from api.problems.problem import Problem
from api.waiting.following import Quiet
from jobs.schema import Job, NewJob

DONE = b"data: [DONE]\n\n"


class Chunks(Protocol):
    """The form of a call's chunks. `first`, `text` and `last` return choices."""

    def head(self, job: Job) -> dict[str, Any]:
        """What all chunks have."""

    def first(self, index: int) -> dict[str, Any] | None:
        """The choice before the first text, if there is one."""

    def text(self, index: int, text: str) -> dict[str, Any]:
        """More text of a choice."""

    def last(self, index: int, reason: str) -> dict[str, Any]:
        """The end of a choice."""


async def stream(request: Request, job: NewJob, form: Form, chunks: Chunks) -> Response:
    """The texts of a job as a stream. Raises as `streamed.stream`."""
    return await streamed.stream(request, job, partial(_frames, form, chunks), _error_frame)


async def _frames(form: Form, chunks: Chunks, job: Job, steps: AsyncIterator[Step]) -> AsyncIterator[bytes]:
    head = chunks.head(job)
    sent: dict[int, str] = {}

    def frame(choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        extra = {"usage": usage} if form.usage else {}
        return b"data: " + msgspec.json.encode(head | {"choices": choices} | extra) + b"\n\n"

    def more(index: int, text: str) -> list[dict[str, Any]]:
        """The choices for more text of an input."""
        first = chunks.first(index) if index not in sent else None
        sent[index] = sent.get(index, "") + text
        return [choice for choice in (first, chunks.text(index, text) if text else None) if choice]

    async for step in steps:
        match step:
            case Quiet():
                yield SILENCE
            case Text(index, text, _):
                for choice in more(index, text):
                    yield frame([choice])
            case Ended(ended, outputs):
                texts = generation.generated(ended, outputs)
                for index, found in enumerate(texts):
                    for choice in more(index, rest(found.generated_text, sent.get(index, ""))):
                        yield frame([choice])
                    yield frame([chunks.last(index, found.finish_reason)])
                if form.usage:
                    yield frame([], generation.usage(texts, form))
                yield DONE


def _error_frame(problem: Problem) -> bytes:
    return b"data: " + msgspec.json.encode(errors.document(problem)) + b"\n\n"
