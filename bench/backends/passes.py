"""Measures in a process of its own: forward passes of one model in each way, or one load of it."""

import statistics
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from bench.child import answer_parent
from bench.texts import make_texts
from jobs.models import ModelSpec

WAYS: dict[str, dict[str, Any]] = {
    "torch": {"dtype": "float32", "backend": "torch"},
    "bfloat16": {"dtype": "bfloat16", "backend": "torch"},
    "onnxruntime": {"dtype": "float32", "backend": "onnxruntime"},
}
TRACED = ("torch", "bfloat16")

LONE_TOKENS = (8, 32, 128)
BATCHES = (4, 16, 64)


class Question(msgspec.Struct):
    name: str
    folder: str
    task: str
    threads: int
    rounds: int
    way: str = ""
    """The only way to load, if the costs of loading are asked for."""
    races: int = 0
    """Races of `backend = "auto"`, if only these are asked for."""


class Row(msgspec.Struct):
    shape: str
    milliseconds: dict[str, float]


class Cost(msgspec.Struct):
    seconds: float
    resident: float
    """MiB after loading."""
    peak: float


def measure(question: Question) -> list[Row] | Cost | list[str]:
    from worker.engine import backends, pipelines, threads

    threads.set_torch_threads(threads.set_count(question.threads))
    source = Path(question.folder)

    def load(way: str) -> Any:
        settings: Any = {"name": "measured", "task": question.task, "source": str(source), "device": "cpu"}
        return pipelines.load(ModelSpec(**settings, **WAYS[way]), source)

    if question.way:
        began = time.perf_counter()
        load(question.way)
        return Cost(time.perf_counter() - began, *_memory())
    if question.races:
        spec = ModelSpec(
            name="measured", task=question.task, source=str(source), device="cpu", dtype="float32"
        )
        comparison = backends.Comparison(spec, load("torch"))
        other = load("onnxruntime")
        return [str(comparison.speed(other)) for _ in range(question.races)]
    loaded = {way: load(way) for way in WAYS}
    return [
        Row(shape, _race(loaded, texts, question.rounds))
        for shape, texts in _shapes(loaded["torch"].tokenizer)
    ]


def _memory() -> tuple[float, float]:
    """Returns the resident memory of this process and its highest, in MiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    found = {line.partition(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "VmHWM"))}
    return int(found["VmRSS"]) / 1024, int(found["VmHWM"]) / 1024


def _shapes(tokenizer: Any) -> list[tuple[str, list[str]]]:
    special = len(tokenizer("river")["input_ids"]) - 1
    lone = [(f"1 of {tokens} tokens", [" ".join(["river"] * (tokens - special))]) for tokens in LONE_TOKENS]
    texts = make_texts(2 * max(BATCHES))
    return lone + [(f"{size} mixed", texts[size : 2 * size]) for size in BATCHES]


def _race(loaded: dict[str, Any], texts: list[str], rounds: int) -> dict[str, float]:
    """Returns the median milliseconds of each way, run in turn."""
    ways: dict[str, Callable[[], object]] = {}
    for way, pipeline in loaded.items():
        prepared = pipeline.prepare(texts, {})
        ways[way] = lambda pipeline=pipeline, prepared=prepared: pipeline.compute(prepared)  # type: ignore[misc]
        if way in TRACED and len(texts) == 1:
            ways[f"{way}, traced"] = _traced(pipeline, prepared)
    times: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(rounds + 2):
        for way, run in ways.items():
            began = time.perf_counter()
            run()
            if number >= 2:  # the first two include one-time setup for a new shape
                times[way].append((time.perf_counter() - began) * 1000)
    return {way: statistics.median(found) for way, found in times.items()}


def _traced(pipeline: Any, prepared: Any) -> Callable[[], object]:
    import torch

    [one] = prepared.work.passes
    names, tensors = list(one.tensors), tuple(one.tensors.values())

    class Traced(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = pipeline.model
            self.eval()

        def forward(self, *given: torch.Tensor) -> Any:
            return self.model(**dict(zip(names, given, strict=True)))[0]

    with torch.inference_mode(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of what does not matter for the time
        frozen = torch.jit.freeze(torch.jit.trace(Traced(), tensors, check_trace=False))  # type: ignore[no-untyped-call]

    def run() -> object:
        with torch.inference_mode():
            return frozen(*tensors)

    return run


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: measure(given))
