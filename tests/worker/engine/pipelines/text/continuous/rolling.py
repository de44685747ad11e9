"""Runs rows through a pipeline with continuous batching, as an engine does."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker.engine.pipelines.continuous import ContinuousPipeline

Request = tuple[Any, dict[str, Any]]


@dataclass
class Answer:
    output: Any
    parts: list[str]
    """The texts of its progress."""
    tokens: int


def roll(pipeline: ContinuousPipeline, requests: Sequence[Request], seed: int = 0) -> list[Answer]:
    """Returns the answer to each request. Rows join in random order, at random steps."""
    dice = random.Random(seed)
    rows = [pipeline.row(*request) for request in requests]
    waiting, joined = dice.sample(rows, len(rows)), 0
    parts: dict[int, list[str]] = {id(row): [] for row in rows}
    tokens = dict.fromkeys(parts, 0)
    ended: set[int] = set()
    while len(ended) < len(rows):
        new: list[Any] = []
        while waiting and len(new) < dice.randrange(4) + (joined == len(ended)) and pipeline.fits(waiting[0]):
            new.append(waiting.pop(0))
        pipeline.join(new)
        joined += len(new)
        for progress in pipeline.step():
            if progress.error:
                raise progress.error
            parts[id(progress.row)].append(progress.text)
            tokens[id(progress.row)] = progress.tokens
            ended |= {id(progress.row)} if progress.done else set()
    return [Answer(pipeline.output(row), parts[id(row)], tokens[id(row)]) for row in rows]
