"""Videos in every format, encoded here."""

import io
from typing import Any

import av
import numpy as np

from worker.engine.pipelines.vision.video_classification import clip

NUMBERS = np.random.default_rng(5)


def video(
    codec: str, container: str, frames: int = 12, width: int = 48, height: int = 32, rate: int = 10
) -> bytes:
    """Coarse noise, another in each frame."""
    file = io.BytesIO()
    with av.open(file, "w", format=container) as output:
        stream: Any = output.add_stream(codec, rate=rate)
        stream.width, stream.height = width, height
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for _ in range(frames):
            small = NUMBERS.integers(0, 255, (height // 8, width // 8, 3), dtype=np.uint8)
            frame = av.VideoFrame.from_ndarray(small.repeat(8, axis=0).repeat(8, axis=1))
            output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return file.getvalue()


def sound() -> bytes:
    """An MP4 without a video."""
    file = io.BytesIO()
    with av.open(file, "w", format="mp4") as output:
        stream: Any = output.add_stream("aac", rate=16_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1_024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16_000
        output.mux(stream.encode(frame))
        output.mux(stream.encode())
    return file.getvalue()


VIDEOS = {
    "mp4": video("mpeg4", "mp4"),
    "tall.mp4": video("mpeg4", "mp4", width=32, height=64),
    "webm": video("libvpx-vp9", "webm"),
    "avi": video("mjpeg", "avi"),
    "gif": clip(12, 40),
}
