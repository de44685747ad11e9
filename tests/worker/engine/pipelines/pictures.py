"""Pictures for tests, as bytes of different sizes and formats."""

import io
from typing import Any

import numpy as np
import PIL.Image


def picture(width: int, height: int, seed: int = 0) -> PIL.Image.Image:
    """Coarse noise, which differs after any resizing."""
    noise = np.random.default_rng((width, height, seed))
    small = noise.integers(0, 255, (max(1, height // 8), max(1, width // 8), 3), dtype=np.uint8)
    return PIL.Image.fromarray(small).resize((width, height))


def encoded(image: PIL.Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    """The picture as a file."""
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def opened(data: bytes) -> PIL.Image.Image:
    """The picture in a file."""
    return PIL.Image.open(io.BytesIO(data)).convert("RGB")


PICTURES = [
    encoded(picture(320, 200), "JPEG"),
    encoded(picture(64, 64)),
    encoded(picture(64, 64, seed=1)),
    encoded(picture(40, 120)),
    encoded(picture(17, 33), "BMP"),
]
BROKEN = encoded(picture(300, 300, seed=2))[:4_000]
