"""Images of different sizes, formats and modes, and what files in outputs contain."""

import io
from typing import Any

import numpy as np
import PIL.Image

from jobs.media.encoded import decode as decode_text
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines.files import File

SEED = np.random.default_rng(7)


def picture(width: int, height: int, mode: str = "RGB") -> PIL.Image.Image:
    """Coarse noise, which differs after any resizing."""
    small = SEED.integers(0, 255, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
    return PIL.Image.fromarray(small).resize((width, height)).convert(mode)


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


TURNED = PIL.Image.Exif()
TURNED[0x0112] = 6  # the camera was held upright

IMAGES = {
    "a photo": encoded(picture(320, 200), "JPEG"),
    "an upright photo": encoded(picture(320, 200), "JPEG", exif=TURNED),
    "lossy": encoded(picture(64, 64), "WEBP"),
    "grey": encoded(picture(40, 40, "L")),
    "transparent": encoded(picture(40, 40, "RGBA")),
    "a palette": encoded(picture(40, 40, "P"), "GIF"),
    "a bitmap": encoded(picture(33, 17), "BMP"),
    "tiny": decode_text(LANDSCAPE),
}

FRAMES = [picture(24, 16), picture(24, 16), picture(24, 16)]

UNUSUAL = {
    "16 bits of grey": encoded(PIL.Image.fromarray(SEED.integers(0, 65_535, (20, 30), dtype=np.uint16))),
    "for print": encoded(picture(32, 24, "CMYK"), "JPEG"),
    "grey and transparent": encoded(picture(40, 40, "LA")),
    "a transparent palette": encoded(picture(40, 40, "P"), transparency=3),
    "black and white": encoded(picture(40, 40, "1")),
    "an animation": encoded(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]),
    "a lossy animation": encoded(FRAMES[0], "WEBP", save_all=True, append_images=FRAMES[1:]),
    "a moving PNG": encoded(FRAMES[0], save_all=True, append_images=FRAMES[1:]),
    "mirrored": encoded(picture(30, 20), "JPEG", exif=TURNED),
}


def opened(data: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(data))


def pixels(file: Any) -> np.ndarray:
    """What a PNG in an output shows, as 8 bits of grey."""
    assert isinstance(file, File)
    assert file.content_type == "image/png"
    return np.asarray(opened(file.content).convert("L"))
