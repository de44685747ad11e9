"""Pictures: PNG files in outputs, and a picture for warm-ups and trials."""

import io

import numpy as np
import PIL.Image

from jobs.media import encoded
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines.files import File

COMPRESSION = 3
"""zlib's level: masks are as small as at the usual level 6, in less time."""


SIDE = 256
"""Pixels of the picture's width and height; of few pixels, some processors leave none."""


def landscape() -> PIL.Image.Image:
    """Returns a picture of SIDE x SIDE pixels."""
    small = PIL.Image.open(io.BytesIO(encoded.decode(LANDSCAPE))).convert("RGB")
    return small.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)


def png(image: PIL.Image.Image) -> bytes:
    """Returns the image as a PNG."""
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=COMPRESSION)
    return file.getvalue()


def picture(image: PIL.Image.Image) -> File:
    """Returns the image as a PNG file."""
    return File(png(image), "image/png")


def mask(pixels: np.ndarray) -> File:
    """Returns a mask [height, width] as a black and white PNG file, white where the mask is not 0."""
    return picture(PIL.Image.fromarray(pixels != 0))
