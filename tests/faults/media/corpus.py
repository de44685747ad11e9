"""The corpus: every file with what must happen to it, in a fixed order."""

import random
from collections.abc import Iterator
from functools import cache

from tests.faults.media import bombs, costly, damage, pictures, recordings, wav
from tests.faults.media.sample import Sample

SECONDS = 60
"""Longest sound that is accepted."""


@cache
def images() -> list[Sample]:
    """All files for models of images."""
    return _numbered(_images())


def _images() -> Iterator[Sample]:
    chance = random.Random(16)
    image = pictures.digit()
    plain = {
        kind: pictures.encoded(image, kind) for kind in ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")
    }
    magics = {kind: data[:12] for kind, data in plain.items()}
    yield from pictures.whole()
    yield from bombs.bombs()
    yield from bombs.swollen()
    yield from costly.images()
    yield from damage.truncated(plain)
    yield from damage.changed(plain, chance)
    yield from damage.random_after(magics, chance)
    yield from damage.polyglots(plain)
    yield from damage.others(chance)


@cache
def sounds() -> list[Sample]:
    """All files for models of sounds that accept at most SECONDS."""
    return _numbered(_sounds())


def _sounds() -> Iterator[Sample]:
    chance = random.Random(17)
    tone = recordings.tone()
    plain = {kind: recordings.encoded(tone, kind=kind) for kind in ("WAV", "FLAC", "OGG")}
    magics = {kind: data[:12] for kind, data in plain.items()}
    yield from recordings.whole()
    yield from wav.bombs(SECONDS)
    yield from wav.odd(tone)
    yield from damage.truncated({kind: plain[kind] for kind in ("WAV", "FLAC")})
    yield from damage.truncated({"OGG": plain["OGG"]}, notices=False)
    yield from damage.changed(plain, chance)
    yield from damage.random_after(magics, chance)
    yield from damage.polyglots({"WAV": plain["WAV"]})
    yield from damage.polyglots({kind: plain[kind] for kind in ("FLAC", "OGG")}, ignores=False)
    yield from damage.others(chance)


def _numbered(samples: Iterator[Sample]) -> list[Sample]:
    found = list(samples)
    names = [sample.name for sample in found]
    assert len(set(names)) == len(names), "each file has a name of its own"
    return found
