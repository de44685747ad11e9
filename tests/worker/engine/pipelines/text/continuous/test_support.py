"""Models that cannot be continued row by row are found, and generate in batches as before."""

import logging
from typing import Any

import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder, load
from worker.engine.pipelines.text.continuous import slot_cache
from worker.engine.pipelines.text.continuous.support import Unsupported

GREEDY = {"max_new_tokens": 4, "do_sample": False}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("mamba", "it has layers of kind linear_attention"),
        ("llama-with-moving-positions", "its positions depend on the longest text of a batch"),
    ],
)
def test_a_model_of_another_kind_has_no_slots(
    model_folder: ModelFolder, caplog: pytest.LogCaptureFixture, model: str, reason: str
) -> None:
    with caplog.at_level(logging.INFO):
        pipeline: Any = load(model_folder(model), "text-generation")
    assert pipeline.slots == 0
    [line] = [line for line in caplog.messages if "fixed batches" in line]
    assert reason in line
    assert len(pipeline.run(["the bridge", "good"], GREEDY)) == 2


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"num_beams": 2}, "its generation_config.json asks for beam_search"),
        ({"num_return_sequences": 2, "do_sample": True}, "`num_return_sequences` different than 1"),
        ({"guidance_scale": 2.0}, "its generation_config.json sets guidance_scale"),
    ],
)
def test_settings_of_another_loop_leave_no_slots(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], reason: str
) -> None:
    pipeline: Any = load(model_folder("llama"), "text-generation")
    for name, value in settings.items():
        monkeypatch.setattr(pipeline.model.generation_config, name, value)
    with pytest.raises(Unsupported, match=reason):
        pipeline._tried()


def test_a_model_whose_rows_change_each_other_has_no_slots(
    model_folder: ModelFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def everything(masks: slot_cache.Masks, row: int, length: int) -> None:
        for mask in masks._masks.values():
            mask[row] = 0.0

    monkeypatch.setattr(slot_cache.Masks, "fill", everything)
    assert load(model_folder("llama"), "text-generation").slots == 0  # type: ignore[attr-defined]
