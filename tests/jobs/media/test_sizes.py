"""Sizes that are read from headers: right for every format, and never an exception or a long time."""

import random
import struct
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.media import sizes
from jobs.media.formats import FORMATS, Kind, of_kind, recognise
from tests.jobs.media.samples import HEIGHT, IMAGES, RATE, SECONDS, SOUNDS, WIDTH, image, sound

ALL = [*map(image, IMAGES), *map(sound, SOUNDS)]
STARTS = [each.opens.ljust(each.offset, b"\0") + begin for each in FORMATS for begin in each.begins]
MOST_SECONDS = 0.5
"""Far above what it takes, so that a busy machine fails no test; without a bound it would be minutes."""


@pytest.mark.parametrize("name", IMAGES)
def test_the_pixels_of_an_image(name: str) -> None:
    assert sizes.pixels_of(image(name)) == WIDTH * HEIGHT
    assert sizes.sound_of(image(name)) == (None, None)
    found = recognise(image(name))
    assert found is not None
    assert found.name == name


@pytest.mark.parametrize("name", SOUNDS)
def test_the_length_of_a_sound(name: str) -> None:
    seconds, rate = sizes.sound_of(sound(name))
    assert seconds == pytest.approx(SECONDS, abs=0.15)  # of an MP3 without a table it is an estimate
    assert rate == (48_000 if "Opus" in name else RATE)
    assert sizes.seconds_of(sound(name)) == seconds
    assert sizes.pixels_of(sound(name)) is None


def test_what_claims_4_gb_has_the_length_of_its_bytes() -> None:
    """A program that writes to a pipe does not know the size when it writes the header."""
    streamed = bytearray(sound("WAV"))
    struct.pack_into("<I", streamed, streamed.index(b"data") + 4, 0xFFFFFFFF)
    assert sizes.seconds_of(bytes(streamed)) == pytest.approx(SECONDS, abs=0.01)


def test_a_flac_that_does_not_know_its_length() -> None:
    streamed = bytearray(sound("FLAC"))
    streamed[21] &= 0xF0
    streamed[22:26] = bytes(4)
    assert sizes.sound_of(bytes(streamed)) == (None, RATE)


def test_images_that_the_library_reads_wrongly() -> None:
    gif = bytearray(image("GIF"))
    struct.pack_into("<HH", gif, 6, 65_535, 40_000)
    assert sizes.pixels_of(bytes(gif)) == 65_535 * 40_000
    os2 = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, WIDTH, HEIGHT, 1, 24)
    assert sizes.pixels_of(os2) == WIDTH * HEIGHT


def test_sizes_of_what_is_no_medium() -> None:
    for data in (b"", b"{}", b"text", bytes(100), *STARTS):
        assert sizes.pixels_of(data) is None
        assert sizes.sound_of(data) == (None, None)


@pytest.mark.parametrize("data", ALL, ids=[*IMAGES, *SOUNDS])
def test_truncated_and_damaged_media(data: bytes) -> None:
    for damaged in _damaged(data):
        started = time.thread_time()
        pixels, (seconds, rate) = sizes.pixels_of(damaged), sizes.sound_of(damaged)
        assert time.thread_time() - started < MOST_SECONDS
        assert pixels is None or pixels > 0
        assert seconds is None or seconds > 0
        assert rate is None or rate > 0


@given(st.sampled_from(STARTS), st.binary(max_size=400))
def test_any_bytes(start: bytes, rest: bytes) -> None:
    sizes.pixels_of(start + rest)
    sizes.sound_of(start + rest)


HOSTILE = {
    "a WAV of a million chunks": b"RIFF\0\0\0\0WAVE" + b"fmt \0\0\0\0" * 1_000_000,
    "a FLAC of a million blocks": b"fLaC" + bytes(4_000_000),
    "an AIFF of a million chunks": b"FORM\0\0\0\0AIFF" + b"NAME\0\0\0\0" * 1_000_000,
    "an OGG of small pages": (b"OggS" + bytes(22) + b"\x01\x01v") * 300_000,
    "an MP3 of garbage": b"\xff\xfb" + b"\xff\x00\x00" * 3_000_000,
    "an MP3 of small frames": b"ID3\4\0\0\0\0\0\0" + b"\xff\xf3\x18\xc0" * 1_000_000,
    "a JPEG of small segments": b"\xff\xd8" + b"\xff\xe0\x00\x02" * 1_000_000,
    "a JPEG of padding": b"\xff\xd8" + b"\xff" * 4_000_000,
    "a TIFF of entries": b"II*\0\x08\0\0\0\xff\xff" + bytes(12 * 65_535),
    "an AVIF of boxes": b"\0\0\0\x18ftypavif" + bytes(12) + b"\0\0\0\x08free" * 500_000,
    "an AVIF of properties": b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"
    + struct.pack(">I4sI", 4_000_012, b"meta", 0)
    + struct.pack(">I4s", 4_000_000, b"iprp")
    + struct.pack(">I4s", 3_999_992, b"ipco")
    + b"\0\0\0\x08ispe" * 499_998,
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)
def test_a_header_without_an_end(data: bytes) -> None:
    started = time.thread_time()
    assert sizes.pixels_of(data) is None
    assert sizes.sound_of(data)[0] is None or data.startswith(b"ID3")
    assert time.thread_time() - started < MOST_SECONDS


@pytest.mark.parametrize(("kind", "count"), [("image", 7), ("audio", 5), ("video", 4)])
def test_formats_of_a_kind(kind: Kind, count: int) -> None:
    """Those that are known only to be named are not among them; a GIF may be an image and a video."""
    assert len(of_kind(kind)) == count
    assert len({each.content_type for each in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize(
    ("start", "name"),
    [
        (b"\0\0\0\x18ftypisom", "MP4"),
        (b"\0\0\0\x14ftypqt  ", "MP4"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x20ftypM4A ", "M4A"),
        (b"\xff\xf1\x50\x80", "AAC"),
        (b"\xff\xfb\x90\xc4", "MP3"),
        (b"\x1a\x45\xdf\xa3", "WEBM"),
        (b"RIFF\0\0\0\0AVI LIST", "AVI"),
    ],
)
def test_formats_by_their_first_bytes(start: bytes, name: str) -> None:
    found = recognise(start)
    assert found is not None
    assert found.name == name


def _damaged(data: bytes) -> Iterator[bytes]:
    """The medium cut at many places, and with random bytes in its header; the same in every run."""
    chance = random.Random(len(data))
    cuts = {*range(min(len(data), 128)), *(chance.randrange(len(data)) for _ in range(100))}
    yield from (data[:cut] for cut in sorted(cuts))
    for _ in range(300):
        changed = bytearray(data)
        for _ in range(chance.randint(1, 8)):
            changed[chance.randrange(4, min(len(data), 400))] = chance.choice((0, 1, 0x7F, 0x80, 0xFF))
        yield bytes(changed)
