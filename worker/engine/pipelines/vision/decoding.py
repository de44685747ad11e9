"""Decodes an image's bytes into pixels, with limits that are checked before the pixels are decoded."""

import io

import PIL.Image
import PIL.ImageOps
import PIL.JpegImagePlugin
import PIL.TiffImagePlugin

from jobs.errors import InvalidRequest
from jobs.media.formats import of_kind
from jobs.tasks.inputs import InputLimits

FORMATS = [each.name for each in of_kind("image")]

PIL.Image.MAX_IMAGE_PIXELS = None  # `decode` checks; Pillow only warns, and raises at twice its limit

MAX_SCANS = 500
"""Most scans of a JPEG. A progressive one has about ten, but any file may contain the two bytes by chance."""

MAX_RUN_LENGTH_BYTES = 1_000_000
"""Most bytes of a BMP with run-length encoding, which Pillow decodes in Python, at a second for a million."""

TILE_WIDTH, TILE_LENGTH = 322, 323
"""Tags of TIFF."""


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
        _check_work(image, data, limits)
        return PIL.ImageOps.exif_transpose(image).convert("RGB")
    except (InvalidRequest, MemoryError):
        raise
    except PIL.UnidentifiedImageError:
        raise InvalidRequest(f"the image is damaged, or none of {', '.join(FORMATS)}") from None
    except Exception as error:  # Pillow may raise anything for damaged data
        raise InvalidRequest(f"the image is damaged: {error}") from None


def _check_work(image: PIL.Image.Image, data: bytes, limits: InputLimits) -> None:
    """Raises InvalidRequest for an image of few pixels that takes much time or memory to decode."""
    # each scan passes over all pixels, and a hundred bytes are enough for one
    if isinstance(image, PIL.JpegImagePlugin.JpegImageFile) and data.count(b"\xff\xda") > MAX_SCANS:
        raise InvalidRequest(f"the image has more than {MAX_SCANS} scans")
    run_lengths = any(tile.codec_name == "bmp_rle" for tile in getattr(image, "tile", ()))
    if run_lengths and len(data) > MAX_RUN_LENGTH_BYTES:
        raise InvalidRequest(
            f"the image is a BMP with run-length encoding and has more than {MAX_RUN_LENGTH_BYTES:,} bytes"
        )
    if isinstance(image, PIL.TiffImagePlugin.TiffImageFile):
        width, length = (int(image.tag_v2.get(tag, 0)) for tag in (TILE_WIDTH, TILE_LENGTH))
        if width * length > limits.max_pixels:  # libtiff allocates and clears a whole tile
            raise InvalidRequest(f"the image is stored in tiles of {width} x {length} pixels, too many")
