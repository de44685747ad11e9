"""Lines without models: each line is answered with its own text, or fails if the text says so."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import msgspec

from bulk.batches.batch import Batch
from bulk.runner.lines.interface import Line, Rows, Stop, row_id
from jobs.errors import InvalidRequest, UnknownModel
from jobs.models import ModelSpec

SPEC = ModelSpec(name="echo", task="text-classification", source="somewhere")
OTHER = ModelSpec(name="other", task="text-classification", source="somewhere")


class Echoing:
    """Implements `Lines`. Until `gate` is set, lines whose text is `wait` have no answer."""

    def __init__(self, per_chunk: int = 2, at_once: int = 2) -> None:
        self.per_chunk = per_chunk
        self.at_once = at_once
        self.gate = asyncio.Event()
        self.began: Counter[int] = Counter()
        """Line -> times that it began."""
        self.released: Counter[str] = Counter()
        """Jobs whose results are not needed any more."""
        self.stopped: set[int] = set()
        """Lines that have no outcome because of a stop: their jobs are cancelled."""
        self.most_at_once = 0
        self._running = 0

    def model(self, endpoint: str, body: bytes, allowed: frozenset[str]) -> ModelSpec:
        try:
            name = msgspec.json.decode(body).get("model")
        except msgspec.DecodeError as error:
            raise InvalidRequest(f"body: {error}") from None
        for spec in (SPEC, OTHER):
            if spec.name == name and (not allowed or name in allowed):
                return spec
        raise UnknownModel(f"no model named {name!r} is served", pointer="/model")

    def lines_per_chunk(self, endpoint: str, spec: ModelSpec) -> int:
        return self.per_chunk

    def chunks_at_once(self, endpoint: str, spec: ModelSpec) -> int:
        return self.at_once

    async def run(self, batch: Batch, chunk: int, lines: Sequence[Line], stop: Stop) -> Rows:
        output: list[bytes] = []
        errors: list[bytes] = []
        left: list[Line] = []
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        try:
            for line in lines:
                text = msgspec.json.decode(line.body).get("input", "")
                if stop:
                    self._leave(line, left)
                    continue
                self.began[line.number] += 1
                if text == "wait":
                    waits = [asyncio.create_task(each.wait()) for each in (self.gate, stop.event)]
                    try:
                        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
                    finally:
                        for each in waits:
                            each.cancel()
                    if stop:
                        self._leave(line, left)
                        continue
                if text == "bug":
                    raise RuntimeError("a bug")
                (errors if text == "fail" else output).append(row(batch, line, text))
        finally:
            self._running -= 1
        return Rows(output, errors, left, tokens=len(output), jobs=[f"job {chunk}"])

    def _leave(self, line: Line, left: list[Line]) -> None:
        left.append(line)
        self.stopped.add(line.number)

    async def release(self, jobs: Sequence[str]) -> None:
        self.released.update(jobs)


def row(batch: Batch, line: Line, text: str) -> bytes:
    response = {"status_code": 400 if text == "fail" else 200, "request_id": "r", "body": {"text": text}}
    return msgspec.json.encode(
        {
            "id": row_id(batch.id, line.number),
            "custom_id": line.custom_id,
            "response": response,
            "error": None,
        }
    )


def request(custom_id: object, text: str = "hello", /, **changed: object) -> bytes:
    """A line of an input file."""
    body = {"model": "echo", "input": text}
    fields = {"custom_id": custom_id, "method": "POST", "url": "/v1/embeddings", "body": body, **changed}
    return msgspec.json.encode(fields) + b"\n"
