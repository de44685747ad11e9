"""Media as inputs: what is refused at the submit, each with the setting that allows it."""

import base64
import struct
from typing import Any

import pytest

from jobs.errors import InvalidRequest
from jobs.inputs import admit_inputs
from jobs.models import ModelSpec
from tests.jobs.media.samples import image, sound


def _spec(kind: Any, **limits: Any) -> ModelSpec:
    return ModelSpec(name="m", pipeline="own:Class", input=kind, **limits)


def _bomb() -> bytes:
    data = bytearray(image("PNG"))
    struct.pack_into(">II", data, 16, 60_000, 60_000)
    return bytes(data)


REFUSED = {
    "a bomb": ("image", {}, _bomb(), "has 3,600,000,000 pixels, .* of 50,000,000; .* max_pixels in models"),
    "a large image": ("image", {"max_pixels": 776}, image("WEBP"), "has 777 pixels, .*max_pixels"),
    "a long sound": ("audio", {"max_seconds": 1.0}, sound("MP3"), r"has 1\.\d seconds, .* max_seconds"),
    "a high rate": (
        "audio",
        {"max_sample_rate": 8_000},
        sound("WAV"),
        "has 16,000 samples.* max_sample_rate",
    ),
    "many bytes": (
        "audio",
        {"max_input_bytes": 99},
        sound("FLAC"),
        "bytes, .* limit of 99; .* max_input_bytes",
    ),
    "another kind": (
        "image",
        {},
        sound("MP3"),
        r"not image data .*: this is MP3 \(audio\); supported: JPEG,",
    ),
    "no decoder": (
        "audio",
        {},
        b"\0\0\0\x20ftypM4A \0\0\0\0",
        r"this is M4A \(audio\); supported: WAV, FLAC",
    ),
    "no medium": ("image", {}, b"%PDF-1.7", "its first bytes are of none"),
    "nothing": ("image", {}, b"", "the image is empty"),
}


@pytest.mark.parametrize(("kind", "limits", "data", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(kind: str, limits: dict[str, Any], data: bytes, reason: str) -> None:
    spec = _spec(kind, **limits)
    for sent in (data, base64.b64encode(data).decode()):
        with pytest.raises(InvalidRequest, match=reason) as caught:
            admit_inputs([sent], spec)
        assert caught.value.pointer == "/inputs/0"


@pytest.mark.parametrize("kind", ["image", "audio"])
def test_what_is_at_the_limit_is_accepted(kind: str) -> None:
    data = image("PNG") if kind == "image" else sound("WAV")
    spec = _spec(kind, max_pixels=777, max_seconds=1.5, max_sample_rate=16_000, max_input_bytes=len(data))
    sent = base64.b64encode(data).decode()
    assert admit_inputs([sent, f"data:;base64,{sent}"], spec) == ([data, data], 2)
    assert admit_inputs(data, spec) == (data, 1)
