"""Frames: a video's bytes -> the frames that a model reads, within limits, by PyAV.

PyAV's wheels contain FFmpeg. Only the demuxer of the recognised format is used, it may open no other file or
address, and what its header says is checked before anything is decoded. While decoding, each frame is
checked again, because a header may say anything.
"""

import io
from collections.abc import Iterator, Sequence
from typing import Any, NoReturn

import av
import av.container
import av.error
import numpy as np

from jobs.errors import InvalidRequest
from jobs.media.formats import recognise
from jobs.tasks.inputs import InputLimits

DEMUXERS = {"MP4": "mp4", "WEBM": "matroska", "AVI": "avi", "GIF": "gif"}
"""Format -> FFmpeg's name of what reads it."""

MAX_READ_PIXELS = 600_000_000
"""Most pixels of all frames that are read: 1.8 GB. 16 frames may have 37 million each, as 8K has."""

SLACK = 2
"""FFmpeg refuses frames of more than this many times the allowed pixels by itself, before it has memory for
them: also in the first frames, which it decodes to find out what a header does not say."""


def read_frames(data: bytes, indices: Sequence[int], limits: InputLimits) -> list[np.ndarray]:
    """Returns the frames at the ascending indices, each [height, width, 3] in RGB.

    Raises InvalidRequest for a video that is damaged, in another format, too short or above a limit.
    """
    if not isinstance(data, bytes):
        raise InvalidRequest(f"an input must be the bytes of a video, not {type(data).__name__}")
    found = recognise(data)
    if found is None or found.name not in DEMUXERS:
        raise InvalidRequest(f"the video is damaged, or none of {', '.join(DEMUXERS)}")
    if indices[-1] >= limits.max_frames:
        _refuse("frames to read", f"{indices[-1] + 1:,}", f"{limits.max_frames:,}", "max_frames")
    try:
        with av.open(
            io.BytesIO(data),
            "r",
            format=DEMUXERS[found.name],
            options=_options(limits),
            io_open=_refuse_files,
        ) as container:
            return _decoded(container, indices, limits)
    except (InvalidRequest, MemoryError):
        raise
    except Exception as error:  # PyAV has an exception for each error of FFmpeg, and raises others too
        reason = getattr(error, "strerror", None) or error
        raise InvalidRequest(f"the video is damaged: {reason}") from None


def _decoded(
    container: av.container.InputContainer, indices: Sequence[int], limits: InputLimits
) -> list[np.ndarray]:
    if not container.streams.video:
        raise InvalidRequest("the file has no video, only sound or other data")
    stream = container.streams.video[0]
    _check_header(container, stream, limits)
    stream.codec_context.options = _options(limits)
    stream.codec_context.thread_count = 1  # the cores are for the model, and for other videos
    wanted, frames, count = set(indices), [], 0
    for frame in _frames(container):
        _check_pixels(frame.width, frame.height, limits)
        _check_seconds(frame.time or 0.0, limits)
        if count in wanted:
            pixels = frame.width * frame.height * len(indices)
            if pixels > MAX_READ_PIXELS:
                raise InvalidRequest(
                    f"the video has frames of {frame.width} x {frame.height} pixels, and {len(indices)} are"
                    f" to be read: together more than {MAX_READ_PIXELS:,} pixels"
                )
            frames.append(frame.to_ndarray(format="rgb24"))
        count += 1
        if count > indices[-1]:
            return frames
    raise InvalidRequest(f"the video has {count:,} frames, and the model needs at least {indices[-1] + 1:,}")


def _frames(container: av.container.InputContainer) -> Iterator[Any]:
    container.seek(0)
    return container.decode(video=0)


def _options(limits: InputLimits) -> dict[str, str]:
    """FFmpeg's options for every decoder."""
    return {"max_pixels": str(SLACK * limits.max_pixels)}


def _check_header(container: av.container.InputContainer, stream: Any, limits: InputLimits) -> None:
    _check_seconds((container.duration or 0) / av.time_base, limits)
    if stream.frames > limits.max_frames:
        _refuse("frames", f"{stream.frames:,}", f"{limits.max_frames:,}", "max_frames")
    width, height = stream.codec_context.width, stream.codec_context.height
    if not width or not height:
        raise InvalidRequest(
            f"the video is damaged, or its frames have more than {SLACK * limits.max_pixels:,} pixels;"
            f" this model's limit is {limits.max_pixels:,} (max_pixels in models.toml)"
        )
    _check_pixels(width, height, limits)


def _check_seconds(seconds: float, limits: InputLimits) -> None:
    if seconds > limits.max_seconds:
        _refuse("seconds", f"{seconds:,.1f} or more", f"{limits.max_seconds:,g}", "max_seconds")


def _check_pixels(width: int, height: int, limits: InputLimits) -> None:
    if width * height > limits.max_pixels:
        _refuse("pixels in each frame", f"{width} x {height}", f"{limits.max_pixels:,}", "max_pixels")


def _refuse(what: str, number: str, limit: str, setting: str) -> NoReturn:
    raise InvalidRequest(
        f"the video has {number} {what}, more than this model's limit of {limit} ({setting} in models.toml)"
    )


def _refuse_files(*_: Any) -> NoReturn:
    raise PermissionError("a video may not refer to other files")
