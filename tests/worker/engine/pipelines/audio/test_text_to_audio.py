"""Texts get the sounds that plain transformers makes with the same seed; each is a WAV file."""

import io
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from worker.engine.pipelines.files import File

TEXTS = ["anna wrote a letter", "the road to the river was closed in winter", "spring water"]
STEP = 2**-15
"""Of a sample with 16 bits."""


def samples(output: dict[str, Any]) -> Any:
    assert isinstance(output["audio"], File)
    assert output["audio"].content_type == "audio/wav"
    read, rate = soundfile.read(io.BytesIO(output["audio"].content), dtype="float32")
    assert rate == output["sampling_rate"] == 16_000
    return read


@pytest.mark.parametrize(
    ("model", "parameters"),
    [
        ("vits", {}),
        ("vits", {"seed": 7}),
        ("musicgen", {"max_new_tokens": 6}),
        ("musicgen", {"max_new_tokens": 9, "do_sample": False, "guidance_scale": 1.0}),
        ("musicgen", {"max_new_tokens": 6, "temperature": 0.5, "seed": 7}),
    ],
    ids=str,
)
def test_sounds_are_those_of_each_text_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    plain = plain_pipeline(model_folder(model), "text-to-audio")
    generation = {name: value for name, value in parameters.items() if name != "seed"}
    outputs = load(model_folder(model), "text-to-speech").run(TEXTS, parameters)
    for text, output in zip(TEXTS, outputs, strict=True):
        torch.manual_seed(parameters.get("seed", 0))
        expected = plain(text, generate_kwargs=generation)["audio"]
        assert len(expected) > 40
        assert np.abs(samples(output) - np.clip(expected, -1, 1)).max() <= STEP
        assert np.abs(expected).max() > 10 * STEP


def test_another_seed_is_another_sound(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("vits"), "text-to-audio")
    one, other = (pipeline.run(TEXTS[:1], {"seed": seed})[0] for seed in (1, 2))
    assert one["audio"].content != other["audio"].content
    assert pipeline.units(TEXTS) == sum(len(text) // 4 + 1 for text in TEXTS)


def test_bad_texts_fail_alone(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("vits"), "text-to-audio")
    outputs = pipeline.run([TEXTS[0], " ", 7, "!!!"], {})
    assert isinstance(outputs[0]["audio"], File)
    assert [str(output) for output in outputs[1:3]] == ["the text is empty", "an input must be a text"]
    assert "no tokens" in str(outputs[3])
    with pytest.raises(InvalidRequest, match="generates no tokens, so it has no do_sample"):
        pipeline.prepare(TEXTS, {"do_sample": True})
