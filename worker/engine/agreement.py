"""How closely two ways to run a model agree: in their decisions, or in the direction of their vectors."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from jobs.errors import InvalidRequest
from worker.engine.pipelines import ComparablePipeline
from worker.engine.protocol import CHARS_PER_TOKEN

MIN_EQUAL = 0.999
"""The share of decisions that must be equal."""

MIN_COSINE = 0.999
"""The lowest cosine similarity allowed between any vector and its counterpart."""

MAX_SCORE_DIFFERENCE = 0.01
"""The largest difference allowed between scores, for a model that returns only a score."""

Answers = list[Any]
"""One for each input: what `ComparablePipeline.compared` returns for its output."""


class OutOfTime(Exception):
    """The model is too slow to be compared."""


class Refused(Exception):
    """The pipeline refuses a held-out input; the message says why."""

    def __init__(self, reason: InvalidRequest, place: int = 0) -> None:
        """`place`: the input's place among the held-out ones, if each has a file of its own."""
        super().__init__(str(reason))
        self.place = place


class Examination:
    """Asks each pipeline of one model the same questions; `pipeline` is one of them."""

    def __init__(self, inputs: list[Any], pipeline: ComparablePipeline, max_items: int = 256) -> None:
        self.inputs = inputs[: pipeline.compared_texts]
        self._max_items = max_items
        self._question = pipeline.question
        self._units = pipeline.units
        self._has_vectors = pipeline.has_vectors

    def batches(self, budget: int) -> list[list[Any]]:
        """Returns the questions ordered by size, in batches about as large as the batcher's."""
        inputs = sorted(self.inputs, key=self._size)
        ends = [0]
        for i, one in enumerate(inputs):
            count = i + 1 - ends[-1]
            if count > 1 and (self._size(one) * count > budget or count > self._max_items):
                ends.append(i)
        questions = list(map(self._question, inputs))
        return [questions[start:end] for start, end in pairwise([*ends, len(inputs)])]

    def _size(self, one: str | bytes) -> int:
        """About as the batcher counts."""
        return len(one) // CHARS_PER_TOKEN + 2 if isinstance(one, str) else self._units([one])

    def answers(
        self, pipeline: ComparablePipeline, batches: list[list[Any]], in_time: Callable[[], bool]
    ) -> Answers:
        """Returns the pipeline's answer to each input, in the order of the batches.

        Raises OutOfTime or Refused.
        """
        answers: Answers = []
        for batch in batches:
            if not in_time():
                raise OutOfTime
            try:
                outputs = pipeline.run(batch, pipeline.compared_with)
            except InvalidRequest as error:
                raise Refused(error) from None
            for one, output in zip(batch, outputs, strict=True):
                if isinstance(output, InvalidRequest):
                    raise Refused(output, self.inputs.index(one) if one in self.inputs else 0)
                answers.append(pipeline.compared(output))
        return answers

    def agreement(self, ours: Answers, theirs: Answers) -> float:
        """Returns the share of equal decisions, or the lowest cosine similarity of two vectors."""
        if self._has_vectors:
            return min(_least_cosine(one, other) for one, other in zip(ours, theirs, strict=True))
        pairs = [
            pair for one, other in zip(ours, theirs, strict=True) for pair in zip(one, other, strict=True)
        ]
        return sum(_equal(one, other) for one, other in pairs) / len(pairs)

    @property
    def threshold(self) -> float:
        return MIN_COSINE if self._has_vectors else MIN_EQUAL


def _equal(one: Any, other: Any) -> bool:
    return bool(abs(one - other) <= MAX_SCORE_DIFFERENCE) if isinstance(one, float) else bool(one == other)


def _least_cosine(one: Any, other: Any) -> float:
    """Returns the lowest cosine similarity of the tokens' vectors and of the text's mean vector."""
    import numpy as np

    rows = np.vstack([one, one.mean(axis=0)]), np.vstack([other, other.mean(axis=0)])
    norms = np.linalg.norm(rows[0], axis=1) * np.linalg.norm(rows[1], axis=1)
    cosines = (rows[0] * rows[1]).sum(axis=1) / np.maximum(norms, 1e-12)
    return float(cosines.min())
