"""Decodes an image's base64 into pixels, with limits that are checked before the pixels are decoded."""

import base64
import io

import PIL.Image
import PIL.ImageOps

from jobs.errors import InvalidRequest
from jobs.tasks.images import FORMATS, start_of

MAX_PIXELS = 50_000_000
"""A few hundred bytes can describe billions of pixels; this many take 150 MB."""

PIL.Image.MAX_IMAGE_PIXELS = None  # `decode` checks; Pillow only warns, and raises at twice its limit


def decode(item: str) -> PIL.Image.Image:
    """Returns the image as RGB, rotated according to its EXIF data, like transformers.

    Raises InvalidRequest for an image that is damaged, in another format or too large; MemoryError.
    """
    try:
        data = base64.b64decode("".join(item[start_of(item) :].split()), validate=True)
    except ValueError as error:
        raise InvalidRequest(f"the image's base64 is damaged: {error}") from None
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=list(FORMATS))
        width, height = image.size
        if width * height > MAX_PIXELS:
            raise InvalidRequest(f"the image has {width} x {height} pixels, more than {MAX_PIXELS:,}")
        return PIL.ImageOps.exif_transpose(image).convert("RGB")
    except (InvalidRequest, MemoryError):
        raise
    except PIL.UnidentifiedImageError:
        raise InvalidRequest(f"the image is damaged, or none of {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow may raise anything for damaged data
        raise InvalidRequest(f"the image is damaged: {error}") from None
