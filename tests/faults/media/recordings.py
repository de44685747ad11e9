"""Whole sounds in every form that must be answered: rates, channels, kinds of samples, other chunks."""

import io
from collections.abc import Iterator
from typing import Any

import numpy as np
import soundfile

from tests.faults.media import wav
from tests.faults.media.sample import Sample

SECONDS = 0.4
RATE = 16_000


def tone(rate: int = RATE, channels: int = 1, seconds: float = SECONDS) -> np.ndarray:
    """A tone that rises, [samples, channels] from -1 to 1."""
    at = np.arange(int(rate * seconds)) / rate
    rising = 0.5 * np.sin(2 * np.pi * (300 * at + 400 * at**2))
    return np.repeat(rising[:, None], channels, 1).astype(np.float32)


def encoded(samples: np.ndarray, rate: int = RATE, kind: str = "WAV", **options: Any) -> bytes:
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind, **options)
    return file.getvalue()


def whole() -> Iterator[Sample]:
    """Sounds that must be answered."""
    for name, data in (*_rates(), *_channels(), *_kinds(), *_chunks()):
        yield Sample(name, data, "answer")


def _rates() -> Iterator[tuple[str, bytes]]:
    for rate in (8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 192_000, 384_000):
        yield f"{rate} Hz.wav", encoded(tone(rate), rate)
    for rate in (8_000, 44_100, 192_000):
        yield f"{rate} Hz.flac", encoded(tone(rate), rate, "FLAC")
    for rate in (8_000, 48_000):
        yield f"{rate} Hz.ogg", encoded(tone(rate), rate, "OGG")
        yield f"{rate} Hz, Opus.ogg", encoded(tone(rate), rate, "OGG", subtype="OPUS")
    yield "an odd rate.wav", encoded(tone(12_345), 12_345)


def _channels() -> Iterator[tuple[str, bytes]]:
    for channels in (2, 3, 6, 8):
        for kind in ("WAV", "FLAC", "OGG"):
            yield f"{channels} channels.{kind.lower()}", encoded(tone(channels=channels), kind=kind)
    yield "5.1 channels with their places.wav", encoded(tone(48_000, 6), 48_000, "WAVEX")
    left = tone(channels=2) * np.array([1, 0], np.float32)
    yield "one silent channel.wav", encoded(left)
    opposite = tone(channels=2) * np.array([1, -1], np.float32)
    yield "opposite channels.wav", encoded(opposite)


def _kinds() -> Iterator[tuple[str, bytes]]:
    for subtype in ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"):
        yield f"{subtype}.wav", encoded(tone(), subtype=subtype)
    for subtype in ("IMA_ADPCM", "MS_ADPCM"):
        yield f"{subtype}.wav", encoded(tone(), subtype=subtype)
    for subtype in ("PCM_S8", "PCM_16", "PCM_24"):
        yield f"{subtype}.flac", encoded(tone(), kind="FLAC", subtype=subtype)
    yield "silence.wav", encoded(np.zeros((RATE, 1), np.float32))
    yield "full scale.wav", encoded(np.sign(tone()))
    yield "beyond full scale.wav", encoded(tone() * 1e6, subtype="FLOAT")
    yield "very quiet.wav", encoded(tone() * 1e-30, subtype="DOUBLE")
    yield "denormal.wav", encoded(tone() * np.float32(1e-40), subtype="FLOAT")


def _chunks() -> Iterator[tuple[str, bytes]]:
    samples = wav.pcm(tone())
    for name, extra in {
        "a list": (b"LIST", b"INFOINAM\x05\0\0\0tone\0\0"),
        "a page": (b"LIST", b"<script>alert(1)</script>"),
        "an odd chunk": (b"abcd", b"odd"),
        "a picture": (b"id3 ", b"\x89PNG\r\n\x1a\n" + bytes(999)),
        "much else": (b"junk", bytes(300_000)),
    }.items():
        yield f"{name} before the samples.wav", wav.file(wav.about(), extra, (b"data", samples))
        yield f"{name} after the samples.wav", wav.file(wav.about(), (b"data", samples), extra)
    many = [(b"junk", b"")] * 2_000
    yield "many chunks.wav", wav.file(wav.about(), *many, (b"data", samples))
