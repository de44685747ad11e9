"""Recordings get the text that plain transformers gives each alone; a bad one fails alone."""

from typing import Any

import msgspec
import pytest

from jobs.errors import ConfigurationError, InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from tests.worker.engine.pipelines.tiny.audio import RATE, WINDOW, encoded, sound
from worker.engine.pipelines import encoding
from worker.engine.pipelines.parallel import Lanes

TASK = "automatic-speech-recognition"
LENGTHS = (0.4, 1.0, 1.7, 1.0, 0.4, 1.3)
SOUNDS = [sound(seconds, 200 + 90 * i) for i, seconds in enumerate(LENGTHS)]
LONG = [sound(seconds, 150 + 70 * seconds) for seconds in (5.0, 1.5, 7.3, 5.0)]


def plain(folder: Any, samples: list[Any], parameters: dict[str, Any]) -> list[Any]:
    """What a user of transformers gets for each; it must not share a pipeline, which keeps settings."""
    pipeline = plain_pipeline(folder, TASK)
    outputs = [pipeline({"raw": one.copy(), "sampling_rate": RATE}, **parameters) for one in samples]
    return [encoding.plain(output) for output in outputs]


def served(folder: Any, samples: list[Any], parameters: dict[str, Any], **settings: Any) -> tuple[Any, Any]:
    pipeline: Any = load(folder, TASK, **settings)
    shapes: list[int] = []
    pipeline.model.register_forward_hook(lambda *call: shapes.append(1))
    return pipeline, pipeline.run([encoded(one, subtype="FLOAT") for one in samples], parameters)


def passes(pipeline: Any, samples: list[Any], parameters: dict[str, Any]) -> list[int]:
    """The rows of each pass of a batch."""
    prepared = pipeline.prepare([encoded(one, subtype="FLOAT") for one in samples], parameters)
    return sorted(len(one.places) for one in prepared.work.passes)


@pytest.mark.parametrize("parameters", [{}, {"return_timestamps": "char"}, {"return_timestamps": "word"}])
@pytest.mark.parametrize("model", ["ctc-group-norm", "ctc-layer-norm"])
def test_letters_are_those_of_each_sound_alone(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any]
) -> None:
    folder = model_folder(model)
    _, outputs = served(folder, SOUNDS, parameters)
    assert outputs == plain(folder, SOUNDS, parameters)
    assert len({output["text"] for output in outputs}) == len(SOUNDS)


@pytest.mark.parametrize("stride", [0.25, [0.1, 0.4], None])
@pytest.mark.parametrize("model", ["ctc-group-norm", "ctc-layer-norm"])
def test_long_sounds_are_cut_and_joined_as_in_transformers(
    model_folder: ModelFolder, model: str, stride: Any
) -> None:
    parameters = {"chunk_length_s": 1.5, "return_timestamps": "word"}
    parameters |= {} if stride is None else {"stride_length_s": stride}
    _, outputs = served(model_folder(model), LONG, parameters)
    assert outputs == plain(model_folder(model), LONG, parameters)


def test_lengths_share_a_pass_only_where_it_changes_nothing(model_folder: ModelFolder) -> None:
    masked = load(model_folder("ctc-layer-norm"), TASK)
    assert not masked.info.packs
    assert passes(masked, SOUNDS, {}) == [len(SOUNDS)]
    unmasked = load(model_folder("ctc-group-norm"), TASK)
    assert unmasked.info.packs
    assert passes(unmasked, SOUNDS, {}) == [1, 1, 2, 2]


def test_a_budget_divides_a_batch(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("ctc-layer-norm"), TASK)
    pipeline.budget = 30  # three seconds
    assert passes(pipeline, SOUNDS, {}) == [1, 2, 3]
    assert pipeline.units([encoded(one) for one in SOUNDS]) == sum(round(10 * each) for each in LENGTHS)
    outputs = pipeline.run([encoded(one, subtype="FLOAT") for one in SOUNDS], {})
    assert outputs == plain(model_folder("ctc-layer-norm"), SOUNDS, {})


@pytest.mark.parametrize(
    "parameters",
    [
        {},
        {"return_timestamps": True},
        {"return_timestamps": "word"},
        {"language": "german"},
        {"language": "fr", "task": "translate"},
        {"return_language": True, "return_timestamps": True},
        {"num_beams": 1},
        {"num_beams": 3, "max_new_tokens": 7},
    ],
    ids=str,
)
def test_whisper_s_words_are_those_of_each_sound_alone(
    model_folder: ModelFolder, parameters: dict[str, Any]
) -> None:
    folder = model_folder("whisper")
    pipeline, outputs = served(folder, SOUNDS, parameters)
    assert outputs == plain(folder, SOUNDS, _for_transformers(parameters))
    assert len({output["text"] for output in outputs}) > 2
    assert pipeline.steps > 0
    alone = parameters.get("return_timestamps") == "word" or "return_language" in parameters
    assert passes(pipeline, SOUNDS, parameters) == ([1] * len(SOUNDS) if alone else [len(SOUNDS)])


@pytest.mark.parametrize(("times", "in_lanes"), [(True, True), ("word", False)])
def test_passes_of_whisper_run_at_once_unless_they_change_the_model(
    model_folder: ModelFolder, times: Any, in_lanes: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = model_folder("whisper")
    pipeline: Any = load(folder, TASK)
    assert isinstance(pipeline._lanes, Lanes)
    pipeline._lanes = lanes = Lanes(2)
    sizes, run = list[int](), lanes.run

    def noted(work: Any, compute: Any) -> Any:
        sizes.append(len(work))
        return run(work, compute)

    monkeypatch.setattr(lanes, "run", noted)
    outputs = pipeline.run([encoded(one, subtype="FLOAT") for one in SOUNDS], {"return_timestamps": times})
    assert outputs == plain(folder, SOUNDS, {"return_timestamps": times})
    assert sizes == ([2] if in_lanes else [])


@pytest.mark.parametrize("times", [True, "word", None])
def test_whisper_s_windows_are_joined_as_in_transformers(model_folder: ModelFolder, times: Any) -> None:
    parameters = {"chunk_length_s": WINDOW, "stride_length_s": 0.3}
    parameters |= {"return_timestamps": times} if times else {}
    folder = model_folder("whisper-english")
    _, outputs = served(folder, LONG, parameters)
    assert outputs == plain(folder, LONG, parameters)


@pytest.mark.parametrize("times", [True, "word"])
def test_whisper_reads_a_long_recording_alone(model_folder: ModelFolder, times: Any) -> None:
    folder = model_folder("whisper")
    parameters = {"return_timestamps": times}
    pipeline, outputs = served(folder, LONG, parameters)
    assert outputs == plain(folder, LONG, parameters)
    assert passes(pipeline, LONG, parameters) == [1] * 4
    if times is True:  # which transformers wants for such recordings; we return their text without it
        [text, *_] = pipeline.run([encoded(LONG[0], subtype="FLOAT")], {})
        assert text == {"text": outputs[0]["text"]}


def _for_transformers(parameters: dict[str, Any]) -> dict[str, Any]:
    """transformers wants some of them in a dictionary."""
    pipeline = ("return_timestamps", "return_language", "chunk_length_s", "stride_length_s")
    generate = {name: value for name, value in parameters.items() if name not in pipeline}
    return {name: value for name, value in parameters.items() if name in pipeline} | (
        {"generate_kwargs": generate} if generate else {}
    )


def test_whisper_s_cost_is_its_windows(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("whisper"), TASK)
    assert pipeline.info.unit_seconds == WINDOW
    assert pipeline.units([encoded(one) for one in LONG]) == 3 + 1 + 4 + 3
    assert len(pipeline.warm_up()[0]) == 1
    assert pipeline.new_tokens == 36


@pytest.mark.parametrize(
    ("model", "parameters", "reason"),
    [
        ("ctc-layer-norm", {"return_timestamps": True}, "either predict character level"),
        ("ctc-layer-norm", {"language": "en"}, "generates no text, so it has no language"),
        ("whisper", {"return_timestamps": "char"}, "cannot return `char`"),
        ("whisper", {"language": "klingon"}, "does not know the language 'klingon'"),
        ("whisper", {"language": "spanish"}, "does not know the language 'spanish'"),
        ("whisper", {"max_new_tokens": 400}, "at most 36 tokens"),
        ("whisper", {"chunk_length_s": 3}, "reads at most 2 seconds at once"),
        ("whisper", {"chunk_length_s": 2, "stride_length_s": 1}, "up to 90% of chunk_length_s"),
        ("whisper", {"stride_length_s": 1}, "needs chunk_length_s"),
        ("whisper-english", {"language": "en"}, "knows one language"),
    ],
)
def test_what_the_model_does_not_have_is_refused(
    model_folder: ModelFolder, model: str, parameters: dict[str, Any], reason: str
) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder(model), TASK).prepare([encoded(SOUNDS[0])], parameters)


def test_a_recording_is_not_cut_into_too_many_windows(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("whisper"), TASK)
    parameters = {"chunk_length_s": 1, "stride_length_s": [0.4, 0.5]}
    outputs = pipeline.run([encoded(sound(101)), encoded(SOUNDS[0])], parameters)
    assert "more than 1,000 windows" in str(outputs[0])
    assert set(outputs[1]) == {"text"}


@pytest.mark.parametrize("model", ["ctc-layer-norm", "whisper"])
def test_times_of_words_are_json(model_folder: ModelFolder, model: str) -> None:
    [output] = load(model_folder(model), TASK).run([encoded(SOUNDS[0])], {"return_timestamps": "word"})
    assert msgspec.json.decode(encoding.encode_output(output))["chunks"]


def test_no_times_are_asked_for(model_folder: ModelFolder) -> None:
    for model in ("ctc-layer-norm", "whisper"):
        [output] = load(model_folder(model), TASK).run([encoded(SOUNDS[0])], {"return_timestamps": False})
        assert set(output) == {"text"}


def test_bad_sounds_fail_alone(model_folder: ModelFolder) -> None:
    for model in ("ctc-layer-norm", "whisper"):
        pipeline = load(model_folder(model), TASK)
        good = [encoded(SOUNDS[0], subtype="FLOAT"), encoded(SOUNDS[1], subtype="FLOAT")]
        outputs = pipeline.run([good[0], b"RIFF", good[1], encoded(SOUNDS[0])[:900]], {})
        assert [outputs[0], outputs[2]] == plain(model_folder(model), SOUNDS[:2], {})
        assert "damaged" in str(outputs[1])
        assert "incomplete" in str(outputs[3])
    [output] = load(model_folder("ctc-layer-norm"), TASK).run([encoded(SOUNDS[0][:30])], {})
    assert "too short for the model: 0.002 s" in str(output)


def test_a_checkpoint_of_another_task(model_folder: ModelFolder) -> None:
    with pytest.raises(ConfigurationError, match="cannot be loaded for automatic-speech-recognition"):
        load(model_folder("text-classification"), TASK)
    with pytest.raises(ConfigurationError, match="was not trained for automatic-speech-recognition"):
        load(model_folder("wav2vec2-classifier"), TASK)
