"""`auto` chooses the fastest dtype that agrees with float32 in any batch, reports why, and keeps it."""

from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from tests.worker.engine.pipelines.conftest import ModelFolder
from worker.engine import dtypes, held_out, pipelines, race
from worker.engine.agreement import Examination, OutOfTime
from worker.engine.findings import Findings
from worker.engine.pipelines import ComparablePipeline, LoadedPipeline, PipelineInfo, Prepared
from worker.supervisor.engine import Engine

TEXTS = ["short", "a text of some length", *(f"number {number} of many" for number in range(30))]


class Labelled(ComparablePipeline):
    """A classifier that answers `right`, except for texts that its dtype gets wrong, always or in batches."""

    def __init__(self, dtype: str, wrong: set[str], wrong_in_company: set[str]) -> None:
        self.info = PipelineInfo("cpu", dtype, None, None)
        self.wrong, self.wrong_in_company = wrong, wrong_in_company

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        return Prepared(inputs, 1, 1)

    def compute(self, prepared: Prepared) -> Any:
        return prepared.work

    def answer(self, computed: Any) -> list[Any]:
        wrong = self.wrong | (self.wrong_in_company if len(computed) > 1 else set())
        return [[{"label": "wrong" if text in wrong else "right", "score": 1.0}] for text in computed]

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        return None

    def compared(self, output: Any) -> Any:
        return [entry["label"] for entry in output]


class Vectors(Labelled):
    has_vectors = True


class Types:
    """How fast each type is, and what it gets wrong."""

    def __init__(self, folder: Path) -> None:
        self.seconds = {"float32": 1.0, "bfloat16": 0.5, "int8": 0.4}
        self.wrong: dict[str, set[str]] = {}
        self.wrong_in_company: dict[str, set[str]] = {}
        self.broken: set[str] = set()
        self.raced: Counter[str] = Counter()
        (folder / "texts.txt").write_text("\n".join(TEXTS), encoding="utf-8")
        self.spec = ModelSpec(
            name="fast",
            task="text-classification",
            source="here",
            dtype="auto",
            held_out=str(folder / "texts.txt"),
        )

    def load(self, spec: ModelSpec, source: Path | None) -> LoadedPipeline:
        if spec.dtype in self.broken:
            raise ConfigurationError("model 'fast': no such kernel")
        wrong, company = self.wrong.get(spec.dtype, set()), self.wrong_in_company.get(spec.dtype, set())
        return Labelled(spec.dtype, wrong, company)

    def time(self, pipeline: LoadedPipeline, prepared: Prepared) -> float:
        self.raced[pipeline.info.dtype] += 1
        return self.seconds[pipeline.info.dtype]

    def choose(self, **changed: Any) -> tuple[str, str]:
        pipeline, choice = dtypes.choose(self.spec.model_copy(update=changed), None)
        assert pipeline.info.dtype == choice.dtype
        return choice.dtype, choice.why


@pytest.fixture
def types(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Types:
    types = Types(tmp_path)
    monkeypatch.setattr(pipelines, "load", types.load)
    monkeypatch.setattr(race, "seconds", types.time)
    return types


def test_the_fastest_is_taken_when_all_agree(types: Types) -> None:
    assert types.choose() == (
        "int8",
        "int8 by auto (bfloat16 2.00 times float32, agreement 1.0000; "
        "int8 2.50 times float32, agreement 1.0000)",
    )


def test_one_that_disagrees_is_refused(types: Types) -> None:
    types.wrong["int8"] = {TEXTS[0]}
    dtype, why = types.choose()
    assert dtype == "bfloat16"
    assert (
        "int8 2.50 times float32, agreement 0.9688 in batches, 1.0000 with its own unbatched answers: refused"
        in why
    )


def test_one_whose_answers_depend_on_their_company_is_refused(types: Types) -> None:
    """Even if float32 gives the same answers as its batches do: alone it would give other answers."""
    types.wrong["float32"] = types.wrong_in_company["int8"] = {TEXTS[1]}
    types.wrong["bfloat16"] = {TEXTS[1]}
    dtype, why = types.choose()
    assert dtype == "bfloat16"
    assert (
        "int8 2.50 times float32, agreement 1.0000 in batches, 0.9688 with its own unbatched answers: refused"
        in why
    )


def test_one_that_is_hardly_faster_is_not_chosen(types: Types) -> None:
    types.seconds |= {"bfloat16": 0.95, "int8": 10.0}
    assert types.choose() == (
        "float32",
        "float32 by auto (bfloat16 1.05 times float32: too slow; int8 0.10 times float32: too slow)",
    )


def test_one_in_software_is_given_up_at_once(types: Types) -> None:
    """One batch is enough to detect it; its answers are not compared."""
    types.seconds["bfloat16"] = 10.0
    types.choose(token_budget=8)
    assert types.raced["bfloat16"] == 1
    assert types.raced["int8"] > dtypes.RUNS


def test_one_that_does_not_run_is_reported(types: Types) -> None:
    types.broken = {"bfloat16", "int8"}
    dtype, why = types.choose()
    assert dtype == "float32"
    assert "bfloat16 refused: model 'fast': no such kernel" in why


def test_there_is_not_always_time_to_judge(types: Types) -> None:
    assert types.choose(load_timeout=1e-9) == (
        "float32",
        "float32 by auto (bfloat16 not judged in time; int8 not judged in time)",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "is not a file with held-out texts"), (b"\n \n", "no texts"), (b"\xff", "cannot be read")],
)
def test_held_out_texts_that_are_none(types: Types, content: bytes | None, reason: str) -> None:
    file = Path(types.spec.held_out or "")
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=f"model 'fast': .*texts.txt.* {reason}"):
        types.choose()


def test_vectors_agree_by_the_worst_of_them() -> None:
    examination = Examination(TEXTS, Vectors("float32", set(), set()))
    one = np.eye(3, dtype=np.float32)
    turned = one.copy()
    turned[2] = [0.0, 0.6, 0.8]
    assert examination.agreement([one, one], [one, 2 * one]) == pytest.approx(1.0)
    assert examination.agreement([one, one], [one, turned]) == pytest.approx(0.8)


def test_batches_keep_to_the_budget_and_leave_nothing_out() -> None:
    examination = Examination(TEXTS, Labelled("float32", set(), set()))
    batches = examination.batches(40)
    assert sorted(text for batch in batches for text in batch) == sorted(TEXTS)
    assert all(max(len(text) // 4 + 2 for text in batch) * len(batch) <= 40 for batch in batches)
    assert max(map(len, batches)) > 1
    assert max(map(len, examination.batches(1))) == 1


TASKS = {
    "text-classification": "text-classification",
    "token-classification": "token-classification",
    "zero-shot-classification": "zero-shot-classification",
    "feature-extraction": "feature-extraction",
    "fill-mask": "fill-mask",
    "text-generation": "text-generation",
    "regression": "text-classification",
    "text-ranking": "text-ranking",
    "question-answering": "question-answering",
    "albert-features": "sentence-similarity",
    "table-question-answering": "table-question-answering",
    "t5": "summarization",
    "nllb": "translation",
}


@pytest.mark.parametrize("model", TASKS)
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words")
def test_every_task_can_be_judged(model_folder: ModelFolder, tmp_path: Path, model: str) -> None:
    """Float32 agrees with itself, and a type with a few bits less does not."""
    (tmp_path / "texts.txt").write_text("good\nthe bridge was late and Anna waited\nwe met in London\n")
    folder = model_folder(model)
    spec = ModelSpec(
        name="tiny",
        task=TASKS[model],
        source=str(folder),
        device="cpu",
        dtype="auto",
        held_out=str(tmp_path / "texts.txt"),
        max_batch_items=4,
    )
    judge = dtypes.Judge(spec, folder, held_out.inputs(spec))
    _, itself = judge.examine("float32", min_speedup=0)
    assert itself.agrees
    assert itself.agreement == pytest.approx(1.0)
    _, verdict = judge.examine("bfloat16", min_speedup=0)
    assert verdict.agreement is not None
    assert 0 <= verdict.agreement <= 1.00001
    if model == "feature-extraction":
        assert verdict.agreement < 0.99999


def test_a_slow_model_runs_out_of_time(types: Types) -> None:
    judge = dtypes.Judge(types.spec, None, TEXTS)
    judge._until = 0
    with pytest.raises(OutOfTime):
        judge.examine("int8")
    assert not types.raced, "there was no time for a race either"


async def test_a_second_start_keeps_the_choice(
    model_folder: ModelFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stored choice is changed and used: it was not measured again."""
    monkeypatch.setenv("BATCHLINE_CACHE_DIR", str(tmp_path))
    (tmp_path / "texts.txt").write_text("good\nthe bridge was late\n")
    folder = model_folder("text-classification")
    spec = ModelSpec(
        name="tiny",
        task="text-classification",
        source=str(folder),
        device="cpu",
        dtype="auto",
        held_out=str(tmp_path / "texts.txt"),
    )
    engine = Engine(spec, folder)
    try:
        first = await engine.start()
    finally:
        await engine.kill()
    assert f"dtype {first.dtype} by auto (bfloat16" in first.why
    assert "onnxruntime" not in first.why, "BATCHLINE_BACKEND is torch"
    assert "measured now" in first.why
    [file] = (tmp_path / "findings").iterdir()
    found = msgspec.json.decode(file.read_bytes(), type=Findings)
    other = "int8" if first.dtype == "bfloat16" else "bfloat16"
    file.write_bytes(msgspec.json.encode(msgspec.structs.replace(found, dtype=other, why="as I say")))
    try:
        second = await engine.start()
    finally:
        await engine.kill()
    assert (second.dtype, second.cost) == (other, first.cost)
    assert "measured earlier" in second.why
    assert "as I say" in second.why
