"""Small media of every format that is read, made by the libraries that the engine reads them with."""

import io
from functools import cache

import numpy as np
import PIL.Image
import soundfile

WIDTH, HEIGHT = 37, 21
SECONDS, RATE = 1.5, 16_000

SOUNDS = {
    "WAV": ("WAV", "PCM_16"),
    "WAV of floats": ("WAV", "FLOAT"),
    "WAV with A-law": ("WAV", "ALAW"),
    "WAV with ADPCM": ("WAV", "IMA_ADPCM"),
    "FLAC": ("FLAC", "PCM_16"),
    "OGG with Vorbis": ("OGG", "VORBIS"),
    "OGG with Opus": ("OGG", "OPUS"),
    "AIFF": ("AIFF", "PCM_16"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
}
IMAGES = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF", "AVIF")


@cache
def image(name: str, width: int = WIDTH, height: int = HEIGHT) -> bytes:
    """An image in the format that Pillow calls so."""
    written = io.BytesIO()
    PIL.Image.linear_gradient("L").resize((width, height)).convert("RGB").save(written, name)
    return written.getvalue()


@cache
def sound(name: str, seconds: float = SECONDS) -> bytes:
    """A tone in one of the formats of SOUNDS."""
    container, encoding = SOUNDS[name]
    tone = 0.3 * np.sin(np.arange(int(seconds * RATE)) * 2 * np.pi * 440 / RATE)
    written = io.BytesIO()
    soundfile.write(written, tone, RATE, format=container, subtype=encoding)
    return written.getvalue()
