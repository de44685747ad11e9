"""Decodes an image's bytes into pixels, with limits that are checked before the pixels are decoded."""

import io

import PIL.Image
import PIL.ImageOps

from jobs.errors import InvalidRequest
from jobs.media.formats import of_kind
from jobs.tasks.inputs import InputLimits

FORMATS = [each.name for each in of_kind("image")]

PIL.Image.MAX_IMAGE_PIXELS = None  # `decode` checks; Pillow only warns, and raises at twice its limit


def decode(data: bytes, limits: InputLimits) -> PIL.Image.Image:
    """Returns the image as RGB, rotated according to its EXIF data, like transformers.

    Raises InvalidRequest for an image that is damaged, in another format or too large; MemoryError.
    """
    if not isinstance(data, bytes):
        raise InvalidRequest(f"an input must be the bytes of an image, not {type(data).__name__}")
    try:
        image = PIL.Image.open(io.BytesIO(data), formats=FORMATS)
        width, height = image.size
        if width * height > limits.max_pixels:
            raise InvalidRequest(
                f"the image has {width} x {height} pixels, more than this model's limit of"
                f" {limits.max_pixels:,} (max_pixels in models.toml)"
            )
        return PIL.ImageOps.exif_transpose(image).convert("RGB")
    except (InvalidRequest, MemoryError):
        raise
    except PIL.UnidentifiedImageError:
        raise InvalidRequest(f"the image is damaged, or none of {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow may raise anything for damaged data
        raise InvalidRequest(f"the image is damaged: {error}") from None
