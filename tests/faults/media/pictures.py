"""Whole pictures of a digit, in every form that must be answered: modes, depths, orientations, animations."""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageCms
import PIL.ImageOps

from tests.faults.media import png
from tests.faults.media.sample import Sample
from training.digits import data

SIDE = 96
DIGIT = 3
"""The digit that every picture shows."""

ORIENTATION = 0x0112
TURNS = {
    2: PIL.Image.Transpose.FLIP_LEFT_RIGHT,
    3: PIL.Image.Transpose.ROTATE_180,
    4: PIL.Image.Transpose.FLIP_TOP_BOTTOM,
    5: PIL.Image.Transpose.TRANSPOSE,
    6: PIL.Image.Transpose.ROTATE_90,
    7: PIL.Image.Transpose.TRANSVERSE,
    8: PIL.Image.Transpose.ROTATE_270,
}
"""EXIF orientation -> how to store the picture so that it is upright again."""


def digit() -> PIL.Image.Image:
    """A held-out digit, light on dark."""
    _, test = data.divide()
    return test.images[test.labels.index(DIGIT)].resize((SIDE, SIDE), PIL.Image.Resampling.BILINEAR)


def encoded(image: PIL.Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def exif(orientation: int = 1) -> bytes:
    made = PIL.Image.Exif()
    made[ORIENTATION] = orientation
    made[0x010E] = "a digit"
    return made.tobytes()


def whole() -> Iterator[Sample]:
    """Pictures that must be answered."""
    image = digit()
    forms = [_jpegs(image), _pngs(image), _written_pngs(image), _gifs(image), _webps(image), _others(image)]
    for form in forms:
        for name, content in form:
            yield Sample(name, content, "answer")


def _jpegs(image: PIL.Image.Image) -> Iterator[tuple[str, bytes]]:
    for orientation in range(1, 9):
        turned = image.transpose(TURNS[orientation]) if orientation > 1 else image
        yield f"EXIF orientation {orientation}.jpg", encoded(turned, "JPEG", exif=exif(orientation))
    for orientation in (0, 9, 255):
        yield f"EXIF orientation {orientation}.jpg", encoded(image, "JPEG", exif=exif(orientation))
    for mode in ("L", "CMYK", "RGB"):
        for options in ({}, {"progressive": True}, {"optimize": True}, {"restart_marker_blocks": 1}):
            said = " ".join(options)
            yield f"{mode} {said}.jpg", encoded(image.convert(mode), "JPEG", quality=90, **options)
    for subsampling in (0, 1, 2):
        yield f"subsampling {subsampling}.jpg", encoded(image, "JPEG", subsampling=subsampling)
    for quality in (20, 100):
        yield f"quality {quality}.jpg", encoded(image, "JPEG", quality=quality)
    profile = PIL.ImageCms.ImageCmsProfile(PIL.ImageCms.createProfile("sRGB")).tobytes()
    for name, icc in {"sRGB": profile, "half": profile[:200], "random": bytes(range(256)) * 400}.items():
        yield f"ICC {name}.jpg", encoded(image, "JPEG", icc_profile=icc)
    for name, content in {
        "damaged": b"Exif\0\0" + bytes(range(200)),
        "huge": exif() + bytes(60_000),
        "cut": exif()[:20],
        "pointing outside": b"Exif\0\0II*\0\xff\xff\xff\x7f",
        "in a loop": b"Exif\0\0II*\0\x08\0\0\0\x00\x00\x08\0\0\0",
    }.items():
        yield f"EXIF {name}.jpg", encoded(image, "JPEG", exif=content)
    yield "comment.jpg", encoded(image, "JPEG", comment=b"<script>alert(1)</script>" * 100)
    yield "no density.jpg", encoded(image, "JPEG", dpi=(0, 0))
    yield "several pictures.jpg", encoded(image, "MPO", save_all=True, append_images=[image] * 3)


def _pngs(image: PIL.Image.Image) -> Iterator[tuple[str, bytes]]:
    grey = image.convert("L")
    with_alpha = image.convert("RGBA")
    with_alpha.putalpha(grey)
    for name, one in {
        "RGB": image,
        "RGBA": with_alpha,
        "L": grey,
        "LA": with_alpha.convert("LA"),
        "palette": image.convert("P", palette=PIL.Image.Palette.ADAPTIVE),
        "palette with alpha": with_alpha.quantize(16),
        "1 bit": grey.convert("1"),
        "16 bit": PIL.Image.fromarray(np.asarray(grey).astype(np.uint16) * 257),
    }.items():
        yield f"{name}.png", encoded(one, "PNG")
    yield "transparent index.png", encoded(image.quantize(8), "PNG", transparency=0)
    yield "transparent colour.png", encoded(image, "PNG", transparency=(0, 0, 0))
    yield "transparent grey.png", encoded(grey, "PNG", transparency=0)
    for orientation in (3, 6):
        turned = image.transpose(TURNS[orientation])
        yield f"EXIF orientation {orientation}.png", encoded(turned, "PNG", exif=exif(orientation))
    frames = [PIL.ImageOps.invert(image)] * 3
    yield "animated.png", encoded(image, "PNG", save_all=True, append_images=frames)
    yield "many frames.png", encoded(image, "PNG", save_all=True, append_images=frames * 50)


def _written_pngs(image: PIL.Image.Image) -> Iterator[tuple[str, bytes]]:
    colours = np.asarray(image)
    grey = colours[..., :1]
    for depth in (1, 2, 4, 8, 16):
        yield f"grey of {depth} bits.png", png.picture(grey, png.GREY, depth)
        yield f"interlaced grey of {depth} bits.png", png.interlaced(grey, png.GREY, depth)
    for depth in (8, 16):
        yield f"colours of {depth} bits.png", png.picture(colours, png.RGB, depth)
        yield f"interlaced colours of {depth} bits.png", png.interlaced(colours, png.RGB, depth)
        opaque = np.full_like(grey, 255)
        with_alpha = np.concatenate([colours, opaque], -1)
        yield f"alpha of {depth} bits.png", png.picture(with_alpha, png.RGBA, depth)
        grey_alpha = np.concatenate([grey, opaque], -1)
        yield f"grey and alpha of {depth} bits.png", png.picture(grey_alpha, png.GREY_ALPHA, depth)
    extras = {
        "a long comment": png.chunk(b"tEXt", b"Comment\0" + b"x" * 500_000),
        "a script": png.chunk(b"tEXt", b"Comment\0<?php system($_GET['c']); ?>"),
        "unknown chunks": png.chunk(b"abCd", b"x" * 9) * 2_000,
        "a random profile": png.chunk(b"iCCP", b"p\0\0" + zlib.compress(bytes(range(256)))),
        "no gamma": png.chunk(b"gAMA", bytes(4)),
        "a physical size of nothing": png.chunk(b"pHYs", struct.pack(">IIB", 0, 0, 1)),
        "a time in no year": png.chunk(b"tIME", b"\xff" * 7),
    }
    for name, extra in extras.items():
        yield f"{name}.png", png.picture(colours, png.RGB, 8, extra)
    plain = png.picture(colours, png.RGB)
    for size in (1, 7, 1_000):
        yield f"data in pieces of {size}.png", png.in_pieces(plain, size)


def _gifs(image: PIL.Image.Image) -> Iterator[tuple[str, bytes]]:
    image = image.quantize(16)
    inverse = PIL.ImageOps.invert(image.convert("RGB")).quantize(16)
    yield "still.gif", encoded(image, "GIF")
    yield "not interlaced.gif", encoded(image, "GIF", interlace=0)
    yield "comment.gif", encoded(image, "GIF", comment=b"x" * 10_000)
    yield "transparent.gif", encoded(image, "GIF", transparency=0)
    yield "two colours.gif", encoded(image.convert("1"), "GIF")
    for disposal in range(4):
        options: dict[str, Any] = {"save_all": True, "append_images": [inverse] * 3, "disposal": disposal}
        yield f"animated, disposal {disposal}.gif", encoded(image, "GIF", **options)
    yield "many frames.gif", encoded(image, "GIF", save_all=True, append_images=[inverse, image] * 100)
    yield "no time.gif", encoded(image, "GIF", save_all=True, append_images=[inverse], duration=0, loop=0)


def _webps(image: PIL.Image.Image) -> Iterator[tuple[str, bytes]]:
    with_alpha = image.convert("RGBA")
    with_alpha.putalpha(image.convert("L"))
    yield "lossy.webp", encoded(image, "WEBP")
    yield "lossless.webp", encoded(image, "WEBP", lossless=True)
    yield "alpha.webp", encoded(with_alpha, "WEBP")
    yield "lossless alpha.webp", encoded(with_alpha, "WEBP", lossless=True, exact=True)
    yield "random profile.webp", encoded(image, "WEBP", icc_profile=bytes(range(256)))
    for orientation in (3, 6):
        turned = image.transpose(TURNS[orientation])
        yield f"EXIF orientation {orientation}.webp", encoded(turned, "WEBP", exif=exif(orientation))
    frames = [PIL.ImageOps.invert(image)] * 5
    yield "animated.webp", encoded(image, "WEBP", save_all=True, append_images=frames)


def _others(image: PIL.Image.Image) -> Iterator[tuple[str, bytes]]:
    for mode in ("RGB", "L", "1", "P", "RGBA"):
        yield f"{mode}.bmp", encoded(image.convert(mode), "BMP")
    plain = bytearray(encoded(image.transpose(TURNS[4]), "BMP"))
    struct.pack_into("<i", plain, 22, -SIDE)
    yield "from top to bottom.bmp", bytes(plain)
    for compression in (None, "tiff_lzw", "tiff_adobe_deflate", "packbits", "jpeg", "tiff_lzma", "zstd"):
        yield f"{compression}.tif", encoded(image, "TIFF", compression=compression)
    for mode in ("L", "CMYK", "P", "RGBA", "YCbCr"):
        yield f"{mode}.tif", encoded(image.convert(mode), "TIFF")
    yield "fax.tif", encoded(image.convert("1"), "TIFF", compression="group4")
    yield "16 bit.tif", encoded(PIL.Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16)), "TIFF")
    yield "floats.tif", encoded(image.convert("F"), "TIFF")
    yield "several pages.tif", encoded(image, "TIFF", save_all=True, append_images=[image] * 5)
    yield "EXIF orientation 6.tif", encoded(image.transpose(TURNS[6]), "TIFF", exif=exif(6))
    yield "still.avif", encoded(image, "AVIF", speed=10)
    yield "grey.avif", encoded(image.convert("L"), "AVIF", speed=10)
    yield "alpha.avif", encoded(image.convert("RGBA"), "AVIF", speed=10)
    yield "animated.avif", encoded(image, "AVIF", speed=10, save_all=True, append_images=[image] * 3)
