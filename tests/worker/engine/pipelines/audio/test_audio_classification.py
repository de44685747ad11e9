"""Sounds get the labels that plain transformers gives each alone."""

from typing import Any

import numpy as np
import pytest

from jobs.errors import ConfigurationError, InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, assert_same, load, plain_pipeline
from tests.worker.engine.pipelines.tiny.audio import RATE, encoded, sound

SOUNDS = [sound(seconds, 200 + 90 * i) for i, seconds in enumerate((0.4, 0.8, 0.4, 1.7, 0.8))]
FILES = [encoded(one, subtype="FLOAT") for one in SOUNDS]
ZERO_SHOT = "zero-shot-audio-classification"
LABELS = ["a parcel", "the town hall in winter", "rain"]


def rows(pipeline: Any, parameters: dict[str, Any]) -> list[int]:
    return sorted(len(one.places) for one in pipeline.prepare(FILES, parameters).work.passes)


@pytest.mark.parametrize("parameters", [{}, {"top_k": 2}, {"function_to_apply": "sigmoid", "top_k": 1_000}])
@pytest.mark.parametrize("model", ["audio-classification", "wav2vec2-classifier"])
def test_labels_are_those_of_each_sound_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    plain = plain_pipeline(model_folder(model), "audio-classification")
    expected = [plain(one, **{"top_k": 5, **parameters}) for one in SOUNDS]
    assert_same(load(model_folder(model), "audio-classification").run(FILES, parameters), expected)


def test_sounds_of_one_length_share_a_pass(model_folder: ModelFolder) -> None:
    fixed = load(model_folder("audio-classification"), "audio-classification")
    assert rows(fixed, {}) == [5]
    assert fixed.info.unit_seconds is None
    assert fixed.units(FILES) == 5
    whole = load(model_folder("wav2vec2-classifier"), "audio-classification")
    assert rows(whole, {}) == [1, 2, 2]
    assert whole.info.unit_seconds == 0.1
    assert whole.units(FILES) == 4 + 8 + 4 + 17 + 8


@pytest.mark.parametrize("template", [{}, {"hypothesis_template": "it was {} ."}])
def test_scores_for_labels_are_those_of_each_sound_alone(
    model_folder: ModelFolder, template: dict[str, Any]
) -> None:
    parameters = {"candidate_labels": LABELS, **template}
    plain = plain_pipeline(model_folder("clap"), ZERO_SHOT)
    short = [one for one in SOUNDS if len(one) <= RATE]
    expected = [plain(one, **parameters) for one in short]
    np.random.seed(0)  # which part of a longer sound is read is random in transformers
    expected.insert(3, plain(SOUNDS[3], **parameters))
    pipeline = load(model_folder("clap"), ZERO_SHOT)
    for _ in range(2):
        assert_same(pipeline.run(FILES, parameters), expected)
    assert rows(pipeline, parameters) == [5]


def test_what_cannot_be_classified_is_refused(model_folder: ModelFolder) -> None:
    clap = load(model_folder("clap"), ZERO_SHOT)
    for template in ("it was {label}", "no field", "{0.__class__}", "{:>1000000000}"):
        with pytest.raises(InvalidRequest, match="hypothesis_template"):
            clap.prepare(FILES, {"candidate_labels": LABELS, "hypothesis_template": template})
    outputs = clap.run([FILES[0], b"junk"], {"candidate_labels": LABELS})
    assert "none of WAV" in str(outputs[1])
    [short] = load(model_folder("wav2vec2-classifier"), "audio-classification").run(
        [encoded(SOUNDS[0][:30])], {}
    )
    assert "too short" in str(short)
    with pytest.raises(ConfigurationError, match="was not trained for audio-classification"):
        load(model_folder("ctc-layer-norm"), "audio-classification")
