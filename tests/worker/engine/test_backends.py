"""`backend = "auto"` takes ONNX Runtime where it is faster and agrees, reports why, and keeps it."""

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from tests.worker.engine.pipelines import tiny
from worker.engine import backends, held_out, loading, pipelines, race
from worker.engine.dtypes import Choice
from worker.engine.pipelines import ComparablePipeline, LoadedPipeline, PipelineInfo, Prepared
from worker.engine.pipelines.text.onnx import extra

BEFORE = Choice("float32", "")


class Labelled(ComparablePipeline):
    """A classifier; that of ONNX Runtime answers `right` to all texts but those in `wrong`."""

    wrong: tuple[str, ...] = ()

    def __init__(self, spec: ModelSpec) -> None:
        self.info = PipelineInfo("cpu", spec.dtype, None, None, backend=spec.backend)

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        return Prepared(inputs, 1, 1)

    def compute(self, prepared: Prepared) -> Any:
        return prepared.work

    def answer(self, computed: Any) -> list[Any]:
        is_torch = self.info.backend == "torch"
        return ["right" if is_torch or text not in self.wrong else "wrong" for text in computed]

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        return None

    def compared(self, output: Any) -> Any:
        return [output]


class Backends:
    """How fast ONNX Runtime is with one text and with several; torch always takes a second."""

    def __init__(self) -> None:
        self.lone = self.batch = 1.0
        self.fault: Exception | None = None
        self.spec = ModelSpec(name="quick", task="text-classification", source="here")

    def load(self, spec: ModelSpec, source: Path | None) -> LoadedPipeline:
        if self.fault is not None and spec.backend == "onnxruntime":
            raise self.fault
        return Labelled(spec)

    def seconds(self, pipeline: LoadedPipeline, prepared: Prepared) -> float:
        if pipeline.info.backend == "torch":
            return 1.0
        return self.lone if len(prepared.work) == 1 else self.batch

    def choose(self, before: Choice = BEFORE, **changed: Any) -> Choice:
        spec = self.spec.model_copy(update=changed)
        torch = Labelled(spec.model_copy(update={"dtype": before.dtype, "backend": "torch"}))
        pipeline, choice = backends.choose(spec, None, torch, before)
        assert (pipeline.info.dtype, pipeline.info.backend) == (choice.dtype, choice.backend)
        return choice


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> Backends:
    both = Backends()
    monkeypatch.setattr(pipelines, "load", both.load)
    monkeypatch.setattr(race, "seconds", both.seconds)
    monkeypatch.setattr(Labelled, "wrong", ())
    return both


def test_the_faster_one_is_taken(both: Backends) -> None:
    both.lone, both.batch = 0.5, 0.8
    choice = both.choose()
    assert (choice.backend, choice.settled) == ("onnxruntime", True)
    assert choice.why == (
        "float32, onnxruntime by auto (onnxruntime 2.00 times torch for a lone text, 1.25 in batches, "
        "agreement 1.000000)"
    )


@pytest.mark.parametrize(
    ("lone", "batch"),
    [(0.97, 0.97), (0.3, 1.2), (1.2, 0.3)],
    ids=["hardly", "slower in batches", "slower for a lone text"],
)
def test_one_that_is_not_faster_in_both_is_not_taken(both: Backends, lone: float, batch: float) -> None:
    both.lone, both.batch = lone, batch
    choice = both.choose()
    assert (choice.dtype, choice.backend) == ("float32", "torch")
    assert "float32, torch by auto (onnxruntime " in choice.why
    assert "agreement" not in choice.why


def test_one_with_another_answer_is_refused(both: Backends, monkeypatch: pytest.MonkeyPatch) -> None:
    both.lone = both.batch = 0.5
    monkeypatch.setattr(Labelled, "wrong", (held_out.inputs(both.spec)[0],))
    choice = both.choose()
    assert choice.backend == "torch"
    assert "agreement 0.979167: refused" in choice.why


def test_one_that_cannot_be_loaded_is_refused_with_the_reason(both: Backends) -> None:
    both.fault = ConfigurationError("no operator for it\nat all")
    choice = both.choose()
    assert (choice.backend, choice.settled) == ("torch", True)
    assert choice.why == "float32, torch by auto (onnxruntime refused: no operator for it)"


def test_a_faster_dtype_is_raced_too(both: Backends) -> None:
    before = Choice("bfloat16", "bfloat16 by auto (so it is)")
    both.lone, both.batch = 0.8, 1.5
    kept = both.choose(before, dtype="auto")
    assert (kept.dtype, kept.backend) == ("bfloat16", "torch")
    assert kept.why.startswith("bfloat16, torch by auto (onnxruntime 1.25 times torch for a lone text")
    assert kept.why.endswith("; with torch bfloat16 by auto (so it is)")
    both.batch = 0.8
    taken = both.choose(before, dtype="auto")
    assert (taken.dtype, taken.backend) == ("float32", "onnxruntime")


def test_a_slow_model_runs_out_of_time(both: Backends) -> None:
    choice = both.choose(load_timeout=1e-9)
    assert (choice.backend, choice.settled) == ("torch", False)
    assert "onnxruntime not judged in time" in choice.why


@pytest.mark.parametrize(
    ("changed", "backend"),
    [
        ({}, ""),
        ({"dtype": "auto"}, ""),
        ({"backend": "torch"}, "torch"),
        ({"backend": "onnxruntime"}, "onnxruntime"),
        ({"dtype": "bfloat16"}, "torch"),
        ({"device": "cuda:0"}, "torch"),
        ({"trust_remote_code": True}, "torch"),
        ({"task": "text-generation"}, "torch"),
    ],
)
def test_only_some_models_are_raced(
    both: Backends, monkeypatch: pytest.MonkeyPatch, changed: dict[str, Any], backend: str
) -> None:
    spec = both.spec.model_copy(update=changed)
    spec.__dict__.pop("definition", None)
    monkeypatch.setattr(extra, "installed", lambda: True)
    assert backends.without_race(spec) == backend
    monkeypatch.setattr(extra, "installed", lambda: False)
    assert backends.without_race(spec) == (backend or "torch")


@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_a_second_start_keeps_the_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason="the extra onnx is not installed")
    folder, cache = tmp_path / "model", tmp_path / "cache"
    tiny.BUILDERS["text-classification"](folder)
    spec = ModelSpec(name="tiny", task="text-classification", source=str(folder), device="cpu", threads=1)
    monkeypatch.setattr(race, "seconds", lambda pipeline, _: 1.0 + (pipeline.info.backend == "torch"))
    _, first = loading.load(spec, folder, cache)
    assert (first.backend, first.dtype) == ("onnxruntime", "float32")
    assert "onnxruntime by auto (onnxruntime 2.00 times torch for a lone text" in first.why
    monkeypatch.setattr(backends, "choose", None)
    pipeline, second = loading.load(spec, folder, cache)
    assert second.backend == pipeline.info.backend == "onnxruntime"
    assert "measured earlier" in second.why
    monkeypatch.setattr(extra, "check", refuse)
    _, third = loading.load(spec, folder, cache)
    assert third.backend == "torch", "auto never fails"


def refuse(spec: ModelSpec, device: Any) -> None:
    raise extra.refusal(spec, "it cannot be used today")
