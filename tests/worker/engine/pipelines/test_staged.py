"""A trial run finds models whose rows influence each other; then every row gets a pass of its own."""

import logging
from typing import Any

import pytest
import torch
from transformers.modeling_outputs import ImageClassifierOutput

from jobs.errors import ConfigurationError, InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load
from tests.worker.engine.pipelines.vision.images import IMAGES, encoded, picture
from worker.engine.pipelines.parallel import Lanes
from worker.engine.pipelines.vision.image_classification import ImageClassification

TASK = "image-classification"
SOME = list(IMAGES.values())[:3]


def test_most_models_share_passes(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("resnet"), TASK)
    assert pipeline.shares_passes


@pytest.mark.parametrize("how", ["mixes", "refuses", "answers once"])
def test_rows_that_cannot_share_a_pass_run_alone(
    how: str, model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    expected = load(model_folder("resnet"), TASK).run(SOME, {})
    sizes: list[int] = []

    def forward(self: Any, tensors: dict[str, torch.Tensor], _: Any) -> Any:
        answer = self.model(**tensors)
        sizes.append(len(answer.logits))
        if how == "refuses" and len(answer.logits) > 1:
            raise RuntimeError("one row at a time")
        if how == "answers once":
            return ImageClassifierOutput(logits=answer.logits.mean(dim=0, keepdim=True))
        return ImageClassifierOutput(logits=answer.logits + answer.logits.std() * (len(answer.logits) - 1))

    monkeypatch.setattr(ImageClassification, "_forward", forward)
    with caplog.at_level(logging.WARNING):
        pipeline = load(model_folder("resnet"), TASK)
    assert "batching changes its answers, so inputs run one at a time" in caplog.text
    sizes.clear()
    assert_same(pipeline.run(SOME, {}), expected)
    assert sizes == [1, 1, 1]


def test_a_model_that_cannot_answer_is_not_served(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forward(*_: Any) -> Any:
        raise RuntimeError("out of tune")

    monkeypatch.setattr(ImageClassification, "_forward", forward)
    with pytest.raises(ConfigurationError, match="model 'tiny': a trial run failed: out of tune"):
        load(model_folder("resnet"), TASK)


def test_an_output_that_is_refused_fails_alone(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline: Any = load(model_folder("resnet"), TASK)
    answered = pipeline._output
    places = iter(range(len(SOME)))

    def output(*given: Any) -> Any:
        if next(places) == 1:
            raise InvalidRequest("not this one")
        return answered(*given)

    monkeypatch.setattr(pipeline, "_output", output)
    assert [isinstance(each, InvalidRequest) for each in pipeline.run(SOME, {})] == [False, True, False]


def test_an_image_too_narrow_is_refused_before_it_is_resized(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("resnet"), TASK)
    pipeline.processor.size = {"shortest_edge": 400}
    pipeline.processor.resize = None
    [refused] = pipeline.run([encoded(picture(20_000, 8))], {})
    assert "of 20000 x 8 pixels is too narrow: the model needs it resized to 400,000,000" in str(refused)


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_a_batch_is_divided_among_the_lanes(count: int, model_folder: ModelFolder) -> None:
    """Images of one shape, in passes of about equal size on two cores."""
    pipeline: Any = load(model_folder("image-classification"), TASK)
    images = (SOME * 3)[:count]
    expected = [pipeline.run([one], {})[0] for one in images]
    pipeline._lanes = Lanes(2)
    prepared = pipeline.prepare(images, {})
    assert sorted(len(one.places) for one in prepared.work.passes) == {
        1: [1],
        2: [1, 1],
        3: [1, 2],
        7: [3, 4],
    }.get(count)
    assert_same(pipeline.answer(pipeline.compute(prepared)), expected)
