"""Draws and plays the media of the curl lines in docs/tasks.md: they are our own work, a few kB each.

python -m examples.tasks.make_media
"""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import soundfile
from PIL import Image, ImageDraw, ImageFilter

MEDIA = Path(__file__).with_name("media")
RATE = 8_000
FRAMES = 16


def photo() -> Image.Image:
    """A house and a tree below a hill, with the grain of a camera."""
    width, height = 320, 240
    rows = np.linspace(0, 1, height)[:, None, None]
    sky = (1 - rows) * (80, 140, 220) + rows * (210, 225, 240)
    picture = Image.fromarray(np.broadcast_to(sky, (height, width, 3)).astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    draw.ellipse((240, 25, 285, 70), fill=(255, 230, 130))
    draw.ellipse((-120, 120, 320, 420), fill=(110, 150, 80))
    draw.rectangle((0, 190, width, height), fill=(85, 130, 60))
    draw.rectangle((70, 130, 160, 205), fill=(205, 190, 165))
    draw.polygon(((60, 130), (115, 85), (170, 130)), fill=(150, 65, 50))
    draw.rectangle((105, 165, 128, 205), fill=(95, 65, 45))
    draw.rectangle((218, 150, 230, 210), fill=(90, 65, 40))
    draw.ellipse((190, 85, 258, 165), fill=(45, 100, 50))
    soft = np.asarray(picture.filter(ImageFilter.GaussianBlur(1.2)), dtype=np.float32)
    grain = np.random.default_rng(0).normal(0, 3, soft.shape)
    return Image.fromarray(np.clip(soft + grain, 0, 255).astype(np.uint8))


def digit() -> Image.Image:
    """A handwritten seven with its bar, light on a dark ground, as `models/digits` expects it."""
    picture = Image.new("L", (64, 64))
    draw = ImageDraw.Draw(picture)
    draw.line(((14, 8), (46, 8), (26, 58)), fill=255, width=11, joint="curve")
    draw.line(((20, 32), (46, 32)), fill=255, width=8)
    return picture.filter(ImageFilter.GaussianBlur(3))


def chime() -> np.ndarray:
    """Three notes of a bell, 0.9 s."""
    samples = np.zeros(round(0.9 * RATE), np.float32)
    for at, pitch in ((0.0, 523.25), (0.2, 659.26), (0.4, 783.99)):
        time = np.arange(len(samples) - round(at * RATE)) / RATE
        samples[-len(time) :] += 0.3 * np.exp(-5 * time) * np.sin(2 * np.pi * pitch * time)
    return samples


def write_video(path: Path) -> None:
    """A ball that rolls from left to right, 16 frames, in a format that every browser plays."""
    with av.open(path, "w", options={"movflags": "faststart"}) as file:
        stream = file.add_stream("libx264", rate=Fraction(8), options={"crf": "20", "threads": "1"})
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for at in range(FRAMES):
            picture = Image.new("RGB", (96, 64), (235, 235, 225))
            draw = ImageDraw.Draw(picture)
            draw.rectangle((0, 50, 96, 64), fill=(120, 100, 80))
            draw.ellipse((5 * at, 30, 5 * at + 20, 50), fill=(200, 60, 50))
            frame = av.VideoFrame.from_ndarray(np.asarray(picture), format="rgb24")
            file.mux(stream.encode(frame))
        file.mux(stream.encode())


def main() -> None:
    MEDIA.mkdir(exist_ok=True)
    photo().save(MEDIA / "photo.jpg", quality=60)
    digit().save(MEDIA / "seven.png", optimize=True)
    soundfile.write(MEDIA / "chime.wav", chime(), RATE, subtype="PCM_16")
    write_video(MEDIA / "ball.mp4")
    for path in sorted(MEDIA.iterdir()):
        print(f"{path}: {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
