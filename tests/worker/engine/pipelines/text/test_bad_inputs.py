"""An input or parameter that can't be run is refused in a sentence, so that it fails alone."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load

TASKS: dict[str, dict[str, Any]] = {
    "text-classification": {},
    "token-classification": {},
    "feature-extraction": {},
    "zero-shot-classification": {"candidate_labels": ["good", "bad"]},
    "fill-mask": {},
    "text-generation": {"max_new_tokens": 2},
}


@pytest.mark.parametrize("task", TASKS)
def test_an_empty_text(model_folder: ModelFolder, task: str) -> None:
    pipeline = load(model_folder(task), task)
    with pytest.raises(InvalidRequest, match="the text is empty"):
        pipeline.run(["[MASK]", ""], TASKS[task])
    with pytest.raises(InvalidRequest, match="an input must be a text, not int"):
        pipeline.run([3], TASKS[task])


@pytest.mark.parametrize("task", TASKS)
def test_the_pipelines_own_samples_run(model_folder: ModelFolder, task: str) -> None:
    pipeline = load(model_folder(task), task)
    samples = pipeline.warm_up()
    assert samples is not None
    inputs, parameters = samples
    assert len(pipeline.run(inputs, parameters)) == len(inputs) > 1


def test_a_text_without_tokens(model_folder: ModelFolder) -> None:
    for model, task in [("gpt2-features", "feature-extraction"), ("text-generation",) * 2]:
        with pytest.raises(InvalidRequest, match="the tokenizer finds no tokens"):
            load(model_folder(model), task).run(["good", " \n "], {})


def test_a_text_without_a_mask(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("fill-mask"), "fill-mask")
    with pytest.raises(InvalidRequest, match=r"the text has no \[MASK\]$"):
        pipeline.run(["[MASK] bridge", "the bridge"], {})
    with pytest.raises(InvalidRequest, match=r"no \[MASK\] within the 48 tokens that are read"):
        pipeline.run(["the bridge " * 40 + "[MASK]"], {})
    with pytest.raises(InvalidRequest, match="top_k exceeds the"):
        pipeline.run(["[MASK] bridge"], {"top_k": 1_000})


@pytest.mark.parametrize(
    "template", ["no field", "{0.__class__}", "{:>1000000000}", "{!r}", "{} and {}", "{label}", "{", "{{}}"]
)
def test_a_hypothesis_template_is_only_a_template(model_folder: ModelFolder, template: str) -> None:
    pipeline = load(model_folder("zero-shot-classification"), "zero-shot-classification")
    with pytest.raises(InvalidRequest, match=r"must contain \{\} exactly once"):
        pipeline.run(["good"], {"candidate_labels": ["bad"], "hypothesis_template": template})


def test_a_label_longer_than_the_model_reads(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("zero-shot-classification"), "zero-shot-classification")
    with pytest.raises(InvalidRequest, match="a label leaves no room for the text in 48 tokens"):
        pipeline.run(["good"], {"candidate_labels": ["bad", "late " * 60]})
