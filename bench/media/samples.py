"""Photos and recordings, the same in every run."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import PIL.Image
import soundfile

from bench.errors import BenchError

SIZES = ((640, 480), (480, 640), (1024, 768), (500, 375))
"""Pixels of the photos: those of a web page and of ImageNet."""

TINTS = ((1, 0, 0), (0, 1, 0), (0, 0, 1), (1, 1, 0), (1, 0, 1), (0, 1, 1), (1, 1, 1), (0, 0, 0))
"""Red, green and blue of the photos. They are what the model tells apart."""

RECORDINGS = "moonshine_voice"
"""The package with recordings of speech."""

SECONDS = (2.0, 8.0)
"""Shortest and longest recording."""


def photos(count: int, seed: int = 5) -> list[bytes]:
    """JPEGs with the detail of a photo: smooth noise at several scales, and one of TINTS in turn."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(count):
        width, height = SIZES[number % len(SIZES)]
        picture = np.zeros((height, width, 3))
        for scale in (4, 16, 64):
            coarse = random.integers(0, 255, (height // scale + 1, width // scale + 1, 3), dtype=np.uint8)
            layer = PIL.Image.fromarray(coarse).resize((width, height), PIL.Image.Resampling.BICUBIC)
            picture += np.asarray(layer) * (scale / 84)
        file = io.BytesIO()
        tinted = picture * (0.5 + np.array(TINTS[number % len(TINTS)]) / 2)
        PIL.Image.fromarray(tinted.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
        found.append(file.getvalue())
    return found


def recordings(count: int) -> tuple[list[bytes], float]:
    """FLACs of read speech, and their seconds in total. Raises BenchError if the package is missing."""
    package = find_spec(RECORDINGS)
    if package is None or package.origin is None:
        raise BenchError(f"{RECORDINGS} is not installed; `make bench-media` does that")
    file = Path(package.origin).parent / "assets" / "two_cities.wav"
    samples, rate = soundfile.read(file, dtype="float32")
    random = np.random.default_rng(5)
    found, total = [], 0.0
    for _ in range(count):
        length = int(random.uniform(*SECONDS) * rate)
        first = int(random.integers(0, len(samples) - length))
        sound = io.BytesIO()
        soundfile.write(sound, samples[first : first + length], rate, format="FLAC")
        found.append(sound.getvalue())
        total += length / rate
    return found, total
