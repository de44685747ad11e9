"""Sounds that no library would write: wrong headers, and samples that are no numbers."""

import io
import struct
from collections.abc import Iterator

import numpy as np
import soundfile

from tests.faults.media.bombs import riff
from tests.faults.media.sample import Sample

HOURS = 10
RATE = 16_000

Chunk = tuple[bytes, bytes]


def about(
    channels: int = 1, rate: int = RATE, bits: int = 16, kind: int = 1, block: int | None = None
) -> Chunk:
    """The chunk that describes the samples."""
    size = channels * bits // 8 if block is None else block
    return b"fmt ", struct.pack("<HHIIHH", kind, channels, rate, rate * size % 2**32, size & 0xFFFF, bits)


def pcm(samples: np.ndarray) -> bytes:
    return (np.asarray(samples) * 32_767).astype("<i2").tobytes()


def file(*chunks: Chunk) -> bytes:
    return riff(b"WAVE", *chunks)


def claims(size: int, present: int = 1_000, **described: int) -> bytes:
    """A sound whose samples claim so many bytes."""
    whole = bytearray(file(about(**described), (b"data", bytes(present))))
    at = whole.index(b"data") + 4
    struct.pack_into("<I", whole, at, size)
    struct.pack_into("<I", whole, 4, min(0xFFFF_FFFF, size + 36))
    return bytes(whole)


def flac(samples: int, rate: int = RATE, channels: int = 1, bits: int = 16) -> bytes:
    """A header that claims so many samples, without any."""
    packed = (rate << 44 | (channels - 1) << 41 | (bits - 1) << 36 | samples).to_bytes(8, "big")
    return b"fLaC\x80\0\0\x22" + struct.pack(">HH", 4096, 4096) + bytes(6) + packed + bytes(16) + bytes(100)


def silence(seconds: int, kind: str, rate: int = 8_000) -> bytes:
    """A long sound in a small file."""
    sound = io.BytesIO()
    with soundfile.SoundFile(sound, "w", rate, 1, format=kind) as opened:
        for _ in range(seconds):
            opened.write(np.zeros(rate, np.int16))
    return sound.getvalue()


def bombs(seconds: int) -> Iterator[Sample]:
    """Sounds that must be refused; `seconds` are more than the model accepts."""
    for name, size in {
        "hours": 2 * RATE * 3_600 * HOURS,
        "a byte more": 1_001,
        "2 GB": 0x7FFE_0000,
    }.items():
        yield Sample(f"claims {name}.wav", claims(size), "refused")
    for samples in (2**36 - 1, RATE * 3_600 * HOURS):
        yield Sample(f"claims {samples} samples.flac", flac(samples), "refused")
    yield Sample("no frames.flac", flac(0), "refused")
    yield Sample("a rate of 655,350 Hz.flac", flac(100, rate=655_350), "refused")
    yield Sample("a rate of 0 Hz.flac", flac(100, rate=0), "refused")
    long = silence(seconds + 1, "FLAC")
    yield Sample("too long.flac", long, "refused")
    yield Sample("too long, and claims nothing.flac", _without_total(long), "refused")
    yield Sample("too long.wav", silence(seconds + 1, "WAV", 1_000), "refused")
    yield Sample("too long.ogg", silence(seconds + 1, "OGG"), "refused")
    short = silence(seconds // 2 + 1, "OGG")
    yield Sample("two streams, together too long.ogg", short + short, "either")


def _without_total(data: bytes) -> bytes:
    """The same FLAC with an unknown number of samples."""
    changed = bytearray(data)
    changed[21] &= 0xF0
    changed[22:26] = bytes(4)
    return bytes(changed)


def odd(tone: np.ndarray) -> Iterator[Sample]:
    """Headers and samples that make no sense."""
    samples = pcm(tone)
    data = (b"data", samples)
    for name, described in {
        "no channels": about(channels=0),
        "65,535 channels": about(channels=65_535, block=2),
        "17 channels": about(channels=17),
        "0 Hz": about(rate=0),
        "4 GHz": about(rate=0xFFFF_FFFF),
        "500,000 Hz": about(rate=500_000),
        "0 bits": about(bits=0),
        "255 bits": about(bits=255),
        "an unknown code": about(kind=0x4242),
        "MP3 as WAV": about(kind=0x55),
        "half a description": (b"fmt ", about()[1][:7]),
        "no description": (b"abcd", b""),
    }.items():
        yield Sample(f"{name}.wav", file(described, data), "refused")
    for name, described in {
        "1 Hz": about(rate=1),
        "7 bits": about(bits=7, block=1),
        "blocks of nothing": about(block=0),
        "blocks of 60,000": about(block=60_000),
    }.items():
        yield Sample(f"{name}.wav", file(described, data), "either")
    yield Sample("no samples.wav", file(about(), (b"data", b"")), "refused")
    yield Sample("no data.wav", file(about()), "refused")
    yield Sample("the data first.wav", file(data, about()), "either")
    yield Sample("a sample.wav", file(about(), (b"data", b"\0\1")), "either")
    yield Sample("half a sample.wav", file(about(), (b"data", b"\1")), "refused")
    yield Sample("two descriptions.wav", file(about(), about(2, 8_000), data), "either")
    for name, value in {"NaN": np.nan, "infinity": np.inf, "minus infinity": -np.inf}.items():
        broken = tone.astype("<f4")
        broken[len(broken) // 2] = value
        yield Sample(f"{name}.wav", file(about(bits=32, kind=3), (b"data", broken.tobytes())), "refused")
    everything = np.full(1_000, np.nan, "<f8").tobytes()
    yield Sample("only NaN.wav", file(about(bits=64, kind=3), (b"data", everything)), "refused")
    whole = file(about(), data)
    for size in (0, 1, 36, len(whole) - 9, len(whole) + 1_000, 0x7FFF_FFFF, 0xFFFF_FFFF):
        yield Sample(f"a RIFF of {size} bytes.wav", whole[:4] + struct.pack("<I", size) + whole[8:], "either")
    yield Sample("streamed.wav", claims(0xFFFF_FFFF, 8_000), "either")
