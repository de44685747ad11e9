"""A sound in any format and rate becomes mono samples at the model's rate, or is refused in a sentence."""

import struct
from typing import Any

import numpy as np
import pytest
import soundfile
import soxr

from jobs.errors import InvalidRequest
from jobs.media.sizes import seconds_of
from jobs.tasks.inputs import InputLimits
from tests.worker.engine.pipelines.tiny.audio import RATE, encoded, sound
from worker.engine.pipelines.audio.decoding import MAX_CHANNELS, decode

LIMITS = InputLimits(max_input_chars=1, max_seconds=2.0, max_sample_rate=96_000)
EXACT = {"PCM_16": 1e-4, "PCM_24": 1e-6, "PCM_U8": 1e-2, "FLOAT": 1e-7, "DOUBLE": 1e-7, "ULAW": 2e-2}
LOSSY = 0.05
SEED = np.random.default_rng(7)


def tone(seconds: float = 0.5, rate: int = RATE, channels: int = 1) -> Any:
    time = np.arange(round(seconds * rate)) / rate
    wave = (0.5 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    return wave if channels == 1 else np.stack([wave] * channels, axis=1)


@pytest.mark.parametrize("subtype", EXACT)
def test_samples_of_any_width(subtype: str) -> None:
    read = decode(encoded(tone(), subtype=subtype), RATE, LIMITS)
    assert read.dtype == np.float32
    assert np.abs(read - tone()).max() <= EXACT[subtype]


@pytest.mark.parametrize(
    ("kind", "subtype"),
    [
        ("FLAC", "PCM_24"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("MP3", None),
        ("AIFF", None),
        ("WAV", "IMA_ADPCM"),
    ],
)
@pytest.mark.parametrize("channels", [1, 2])
def test_formats(kind: str, subtype: str | None, channels: int) -> None:
    data = encoded(tone(rate=48_000, channels=channels), 48_000, kind, subtype)
    read = decode(data, RATE, LIMITS)
    middle = slice(RATE // 8, RATE // 3)
    assert abs(len(read) - RATE / 2) < RATE / 10
    assert np.abs(read[middle]).max() == pytest.approx(0.5, abs=LOSSY)
    crossings = np.count_nonzero(np.diff(np.sign(read[middle])))
    assert crossings == pytest.approx(2 * 440 * (middle.stop - middle.start) / RATE, abs=5)


@pytest.mark.parametrize("rate", [8_000, 11_025, 22_050, 44_100, 96_000])
def test_any_rate_becomes_the_model_s(rate: int) -> None:
    read = decode(encoded(tone(rate=rate), rate, subtype="FLOAT"), RATE, LIMITS)
    assert abs(len(read) - RATE // 2) <= 1
    inner = slice(800, 7_000)
    assert np.abs(read[inner] - tone()[inner]).max() < 2e-3


@pytest.mark.parametrize("rate", [8_000, 44_100, 96_000])
def test_it_is_resampled_in_blocks_as_if_whole(rate: int, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = SEED.standard_normal(rate + 77).astype(np.float32) / 5
    whole = soxr.resample(samples, rate, RATE)
    monkeypatch.setattr(soxr, "resample", None)  # the whole sound at its own rate may take gigabytes
    assert np.array_equal(decode(encoded(samples, rate, subtype="FLOAT"), RATE, LIMITS), whole)


def test_channels_are_averaged() -> None:
    given = sound(0.5, channels=6)
    assert np.allclose(decode(encoded(given, subtype="FLOAT"), RATE, LIMITS), given.mean(axis=1), atol=1e-6)


def with_size(data: bytes, size: int) -> bytes:
    """A WAV that announces so many bytes of samples."""
    at = data.index(b"data") + 4
    return data[:at] + struct.pack("<I", size) + data[at + 4 :]


WAV = encoded(tone())
NOT_NUMBERS = tone(0.1)
NOT_NUMBERS[7] = np.nan
BAD = {
    "nothing": (b"", "the sound is damaged, or none of WAV"),
    "another format": (b"GIF89a" + bytes(100), "the sound is damaged, or none of WAV"),
    "a name": (WAV[:12], "the sound is damaged: "),
    "half of a WAV": (WAV[: len(WAV) // 2], "the sound is incomplete: it announces 16,000 bytes"),
    "half of an AIFF": (encoded(tone(), kind="AIFF")[:5_000], "the sound is incomplete"),
    "half of a FLAC": (encoded(tone(), kind="FLAC")[:3_000], "the sound is damaged: "),
    "no samples": (encoded(tone(0)), "the sound has no samples"),
    "two samples": (encoded(tone(1)[:2], 96_000), "too short"),
    "not numbers": (encoded(NOT_NUMBERS, subtype="FLOAT"), "samples that are not numbers"),
    "too long": (encoded(tone(2.1)), r"has 2\.1 seconds, more than this model's limit of 2 seconds"),
    "too fast": (encoded(tone(0.1), 192_000), "192,000 samples a second, more than this model's limit"),
    "too many channels": (encoded(sound(0.1, channels=MAX_CHANNELS + 1)), "has 17 channels, more than 16"),
    "a WAV with the samples of an MP3": (WAV[:40] + encoded(tone(), kind="MP3")[40:], "the sound is "),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_sound_is_refused_in_a_sentence(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(InvalidRequest, match=reason) as refused:
        decode(data, RATE, LIMITS)
    assert "\n" not in str(refused.value)
    assert "0x" not in str(refused.value)


def test_a_long_sound_is_refused_before_it_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def read(*_: Any, **__: Any) -> None:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(soundfile.SoundFile, "read", read)
    for name in ("too long", "too fast", "too many channels"):
        with pytest.raises(InvalidRequest, match=BAD[name][1]):
            decode(BAD[name][0], RATE, LIMITS)
    with pytest.raises(InvalidRequest, match="it was decoded"):
        decode(WAV, RATE, LIMITS)


def test_a_header_that_claims_less_does_not_hide_a_long_sound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soundfile.SoundFile, "frames", property(lambda _: 1_000))
    monkeypatch.setattr(soundfile.SoundFile, "_check_frames", lambda _, frames, __: frames)
    with pytest.raises(InvalidRequest, match="the sound has more than this model's limit of 2 seconds"):
        decode(encoded(tone(4)), RATE, LIMITS)


def test_a_wav_from_a_pipe_does_not_know_its_size() -> None:
    assert len(decode(with_size(WAV, 0xFFFF_FFFF), RATE, LIMITS)) == RATE // 2


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_whatever_is_in_a_file_it_is_a_sound_or_refused(kind: str) -> None:
    whole = encoded(tone(0.2), kind=kind)
    outcomes = set()
    for _ in range(100):
        data = bytearray(whole)
        for at in SEED.integers(4, len(data), 3):
            data[at] = SEED.integers(0, 256)
        cut = data[: SEED.integers(4, len(data))] if SEED.random() < 0.5 else data
        try:
            outcomes.add(str(decode(bytes(cut), RATE, LIMITS).dtype))
        except InvalidRequest:
            outcomes.add("refused")
    assert outcomes <= {"float32", "refused"}
    assert "refused" in outcomes


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "OGG", "MP3", "AIFF"])
def test_its_length_is_known_without_decoding(kind: str) -> None:
    data = encoded(tone(1.5), kind=kind)
    assert seconds_of(data) == pytest.approx(len(decode(data, RATE, LIMITS)) / RATE, abs=0.1)
