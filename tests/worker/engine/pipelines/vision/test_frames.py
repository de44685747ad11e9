"""Frames of a video are read within limits; whatever is in a file, it is a video or refused."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from jobs.errors import InvalidRequest
from jobs.tasks.inputs import InputLimits
from tests.worker.engine.pipelines.vision.videos import VIDEOS, sound, video
from worker.engine.pipelines.vision import frames
from worker.engine.pipelines.vision.frames import read_frames

LIMITS = InputLimits(max_input_chars=1)


@pytest.mark.parametrize("name", VIDEOS)
def test_the_frames_at_the_indices_are_read(name: str) -> None:
    every = read_frames(VIDEOS[name], range(12), LIMITS)
    assert len(every) == 12
    assert every[0].shape[2] == 3
    some = read_frames(VIDEOS[name], [2, 5, 11], LIMITS)
    assert all(np.array_equal(one, every[at]) for one, at in zip(some, (2, 5, 11), strict=True))


@pytest.mark.parametrize("name", VIDEOS)
@pytest.mark.parametrize(
    ("limits", "last", "reason"),
    [
        ({"max_pixels": 500}, 3, r"frames have more than 1,000 pixels; .* limit is 500 \(max_pixels"),
        ({"max_seconds": 0.5}, 11, r"the video has .* seconds, more than .* limit of 0.5 \(max_seconds"),
        ({"max_frames": 11}, 11, r"the video has 12 frames to read, more than .* 11 \(max_frames"),
        ({}, 12, "the video has 12 frames, and the model needs at least 13"),
    ],
)
def test_limits(name: str, limits: dict[str, Any], last: int, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        read_frames(VIDEOS[name], range(last + 1), replace(LIMITS, **limits))


def test_limits_of_the_header_are_checked_before_a_frame_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    def decode(_: Any) -> Any:
        raise AssertionError("it was decoded")

    monkeypatch.setattr(frames, "_frames", decode)
    for limits in ({"max_pixels": 1_500}, {"max_seconds": 0.5}, {"max_frames": 10}):
        with pytest.raises(InvalidRequest, match=rf"limit of .* \({next(iter(limits))} in"):
            read_frames(VIDEOS["mp4"], range(3), replace(LIMITS, **limits))


def test_limits_hold_whatever_the_header_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """An animated GIF does not say how long it is."""
    monkeypatch.setattr(frames, "_check_header", lambda *_: None)
    for limits in ({"max_pixels": 60_000}, {"max_seconds": 0.5}):
        with pytest.raises(InvalidRequest, match=rf"limit of .* \({next(iter(limits))} in"):
            read_frames(VIDEOS["gif"], range(12), replace(LIMITS, **limits))


LARGE = video("mpeg4", "mp4", frames=1, width=2048, height=2048)

BAD: dict[str, tuple[Any, str]] = {
    "no bytes": (7, "an input must be the bytes of a video, not int"),
    "nothing": (b"", "the video is damaged, or none of MP4, WEBM, AVI, GIF"),
    "a playlist": (b"#EXTM3U\nfile:///etc/passwd\n", "the video is damaged, or none of MP4"),
    "a list of files": (b"ffconcat version 1.0\nfile /etc/passwd\n", "the video is damaged, or none of MP4"),
    "its first bytes": (VIDEOS["mp4"][:40], "the video is damaged: "),
    "half of it": (VIDEOS["webm"][:300], "the video is damaged: |the video has 0 frames"),
    "only sound": (sound(), "the file has no video, only sound or other data"),
    "large frames": (
        LARGE,
        "or its frames have more than 2,000,000 pixels; this model's limit is 1,000,000 .max_pix",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_video_is_refused_in_a_sentence(name: str) -> None:
    data, reason = BAD[name]
    with pytest.raises(InvalidRequest, match=reason) as refused:
        read_frames(data, range(4), replace(LIMITS, max_pixels=1_000_000))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", VIDEOS)
def test_whatever_is_in_a_file_it_is_a_video_or_refused(name: str) -> None:
    whole, numbers = VIDEOS[name], np.random.default_rng(9)
    outcomes: set[object] = set()
    for _ in range(100):
        data = bytearray(whole)
        for at in numbers.integers(12, len(data), 4):
            data[at] = numbers.integers(0, 256)
        cut = data[: numbers.integers(12, len(data))] if numbers.random() < 0.5 else data
        try:
            outcomes.add(len(read_frames(bytes(cut), range(4), LIMITS)))
        except InvalidRequest:
            outcomes.add("refused")
    assert outcomes <= {4, "refused"}
    assert "refused" in outcomes


def test_the_frames_that_are_read_are_limited_together(monkeypatch: pytest.MonkeyPatch) -> None:
    data = next(iter(VIDEOS.values()))
    [frame] = read_frames(data, [0], LIMITS)
    pixels = frame.shape[0] * frame.shape[1]
    monkeypatch.setattr(frames, "MAX_READ_PIXELS", 3 * pixels)
    assert len(read_frames(data, [0, 1, 2], LIMITS)) == 3
    with pytest.raises(InvalidRequest, match="4 are to be read"):
        read_frames(data, [0, 1, 2, 3], LIMITS)
