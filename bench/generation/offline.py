"""`python -m bench.generation.offline`: plain transformers in its own process, all prompts known in advance.

Static batches run to the limit of their longest row, as `generate` does; only the tokens that were asked for
are counted. transformers' continuous batching gets each row's own limit. Decoding is greedy and the time
includes tokenising, but not loading.
"""

import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from bench.child import answer_parent, in_child
from bench.errors import BenchError
from bench.generation import models
from bench.generation.paged import Paged
from bench.generation.workload import Workload, batches, sorted_by_limit

ALONE = "one by one"
STATIC = (8, 32, 64)
SORTED = 16
ATTENTIONS = ("sdpa", "eager")


class Question(msgspec.Struct):
    model: str
    workload: Workload
    strategies: list[str]


class Offline(msgspec.Struct):
    threads: int
    seconds: dict[str, float] = {}
    """Strategy -> seconds for all prompts."""
    answers: dict[str, list[list[int]]] = {}
    """Strategy -> the new tokens of each prompt."""
    texts: list[str] = []
    """The new text of each prompt, one by one."""
    problems: dict[str, str] = {}
    """Strategy that failed -> reason."""

    def rate(self, strategy: str, workload: Workload) -> float:
        """Returns the wanted tokens per second."""
        return workload.tokens / self.seconds[strategy]

    def equal(self, strategy: str) -> int:
        """Returns the number of prompts whose tokens are those of one by one."""
        return sum(a == b for a, b in zip(self.answers[strategy], self.answers[ALONE], strict=True))


def strategies(prompts: int) -> list[str]:
    """Returns the names of all strategies for so many prompts."""
    static = [f"static batches of {size}" for size in STATIC if size <= prompts]
    return [ALONE, *static, f"batches of {SORTED}, sorted by limit", *map(paged_name, ATTENTIONS)]


def paged_name(attention: str) -> str:
    return f"transformers' continuous batching, {attention}"


def run(workload: Workload, only: list[str] | None = None) -> Offline:
    """Measures all strategies, or `only` these, in a separate process. Raises BenchError."""
    question = Question(str(models.folder()), workload, only or strategies(len(workload.prompts)))
    return in_child("bench.generation.offline", msgspec.json.encode(question), Offline, 900)


def measure(question: Question) -> Offline:
    """Measures here. A strategy that raises is reported, the others are measured."""
    import torch
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    workload = question.workload
    found = Offline(torch.get_num_threads())
    plain = Plain(question.model, workload)
    for strategy in question.strategies:
        try:
            seconds, answers = _timed(_strategy(strategy, question, plain), len(workload.prompts))
        except Exception as error:  # such as a version of transformers without continuous batching
            found.problems[strategy] = f"{type(error).__name__}: {error}"[:200]
            continue
        found.seconds[strategy], found.answers[strategy] = seconds, answers
    if ALONE in found.problems:
        raise BenchError(f"{ALONE}: {found.problems[ALONE]}")
    found.texts = [plain.tokenizer.decode(tokens) for tokens in found.answers[ALONE]]
    return found


Numbers = Sequence[int]
Generates = Callable[[Numbers], list[list[int]]]
"""Takes the numbers of the prompts and returns the new tokens of each."""


def _timed(generate: Generates, count: int) -> tuple[float, list[list[int]]]:
    generate(range(min(2, count)))  # warm-up
    began = time.perf_counter()
    answers = generate(range(count))
    return time.perf_counter() - began, answers


def _strategy(name: str, question: Question, plain: "Plain") -> Generates:
    for attention in ATTENTIONS:
        if name == paged_name(attention):
            return Paged(question.model, question.workload, attention)
    if name == ALONE:
        return lambda numbers: plain.static(batches(list(numbers), 1))
    if name.endswith("sorted by limit"):
        order = sorted_by_limit(question.workload.limits)
        return lambda numbers: plain.static(batches([each for each in order if each in numbers], SORTED))
    size = int(name.rpartition(" ")[2])
    return lambda numbers: plain.static(batches(list(numbers), size))


class Plain:
    """`generate` on batches that are padded on the left."""

    def __init__(self, model: str, workload: Workload) -> None:
        import torch
        import transformers

        self.workload = workload
        self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(model, local_files_only=True)
        loaded: Any = transformers.AutoModelForCausalLM.from_pretrained(
            model, local_files_only=True, dtype=torch.float32
        )
        self.model = loaded.eval()

    def static(self, groups: list[list[int]]) -> list[list[int]]:
        """Returns the new tokens of each prompt in the groups, in the order of their numbers."""
        found: dict[int, list[int]] = {}
        for group in groups:
            found |= zip(group, self._batch(group), strict=True)
        return [found[number] for number in sorted(found)]

    def _batch(self, group: list[int]) -> list[list[int]]:
        import torch

        prompts = [self.tokenizer(self.workload.prompts[number])["input_ids"] for number in group]
        limits = [self.workload.limits[number] for number in group]
        longest = max(map(len, prompts))
        ids = torch.tensor([[0] * (longest - len(row)) + row for row in prompts])
        mask = torch.tensor([[0] * (longest - len(row)) + [1] * len(row) for row in prompts])
        with torch.inference_mode():
            rows = self.model.generate(
                ids, attention_mask=mask, max_new_tokens=max(limits), do_sample=False, pad_token_id=0
            )
        return [row[longest : longest + limit].tolist() for row, limit in zip(rows, limits, strict=True)]


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: measure(given))
