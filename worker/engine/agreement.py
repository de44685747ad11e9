"""How far two ways to run a model give the same answers: its decisions, or the direction of its vectors."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from jobs.errors import ConfigurationError
from worker.engine.pipelines import LoadedPipeline
from worker.engine.protocol import CHARS_PER_TOKEN

EQUAL = 0.999
"""The share of decisions that must be equal."""

ALIKE = 0.999
"""The least cosine that any vector may have with its counterpart."""

SCORE = 0.01
"""What a score may differ by where a model has only a score to give."""

CONTINUED = 32
"""Texts that are continued; the others would take too long."""

_PARAMETERS: dict[str, dict[str, Any]] = {
    "text-classification": {"top_k": 1},
    "token-classification": {"aggregation_strategy": "none", "ignore_labels": []},
    "zero-shot-classification": {"candidate_labels": ["work", "travel", "food", "sport"]},
    "feature-extraction": {},
    "fill-mask": {"top_k": 1},
    "text-generation": {"max_new_tokens": 16, "do_sample": False, "return_full_text": False},
}

Answers = list[Any]
"""One for each text: decisions (words or scores), or vectors as an array [tokens, dimensions]."""


class OutOfTime(Exception):
    """The model is too slow to be judged."""


class Examination:
    """The same questions to each pipeline of one task."""

    def __init__(self, task: str, texts: list[str], pipeline: LoadedPipeline) -> None:
        self.task = task
        self.texts = [self._question(text, pipeline) for text in texts]
        if task == "text-generation":
            self.texts = self.texts[:CONTINUED]

    def batches(self, budget: int) -> list[list[str]]:
        """The texts by length, in batches about as large as the batcher makes them."""
        texts = sorted(self.texts, key=len)
        ends = [0]
        for i, text in enumerate(texts):
            if i > ends[-1] and (len(text) // CHARS_PER_TOKEN + 2) * (i + 1 - ends[-1]) > budget:
                ends.append(i)
        return [texts[start:end] for start, end in pairwise([*ends, len(texts)])]

    def answers(
        self, pipeline: LoadedPipeline, batches: list[list[str]], in_time: Callable[[], bool]
    ) -> Answers:
        """What the pipeline says of each text, in the order of the batches. Raises OutOfTime."""
        told: Answers = []
        for batch in batches:
            if not in_time():
                raise OutOfTime
            told += [
                self._reduced(output, pipeline) for output in pipeline.run(batch, _PARAMETERS[self.task])
            ]
        return told

    def agreement(self, ours: Answers, theirs: Answers) -> float:
        """The share of equal decisions, or the least cosine of two vectors."""
        if self.task == "feature-extraction":
            return min(_least_cosine(one, other) for one, other in zip(ours, theirs, strict=True))
        pairs = [
            pair for one, other in zip(ours, theirs, strict=True) for pair in zip(one, other, strict=True)
        ]
        return sum(_equal(one, other) for one, other in pairs) / len(pairs)

    @property
    def threshold(self) -> float:
        return ALIKE if self.task == "feature-extraction" else EQUAL

    def _question(self, text: str, pipeline: Any) -> str:
        if self.task != "fill-mask" or pipeline.tokenizer.mask_token in text:
            return text
        words = text.split()
        # near the start, for a long text is cut
        words[min(len(words) // 2, 20)] = pipeline.tokenizer.mask_token
        return " ".join(words)

    def _reduced(self, output: Any, pipeline: Any) -> Any:
        match self.task:
            case "feature-extraction":
                import numpy as np

                return np.asarray(output[0], dtype=np.float32)
            case "text-classification" if pipeline.model.config.num_labels == 1:
                return [entry["score"] for entry in output]
            case "text-classification":
                return [entry["label"] for entry in output]
            case "token-classification":
                return [entry["entity"] for entry in output]
            case "zero-shot-classification":
                return output["labels"][:1]
            case "fill-mask":
                entries = output if isinstance(output[0], dict) else [first for first, *_ in output]
                return [entry["token"] for entry in entries]
            case "text-generation":
                return [entry["generated_text"] for entry in output]
        raise ConfigurationError(f"there is no way to judge {self.task}")


def _equal(one: Any, other: Any) -> bool:
    return bool(abs(one - other) <= SCORE) if isinstance(one, float) else bool(one == other)


def _least_cosine(one: Any, other: Any) -> float:
    """Of each token's vector, and of the text's mean."""
    import numpy as np

    rows = np.vstack([one, one.mean(axis=0)]), np.vstack([other, other.mean(axis=0)])
    norms = np.linalg.norm(rows[0], axis=1) * np.linalg.norm(rows[1], axis=1)
    cosines = (rows[0] * rows[1]).sum(axis=1) / np.maximum(norms, 1e-12)
    return float(cosines.min())
