"""What the worker and its engine say to each other: msgpack messages in frames on a socket pair."""

import math
import struct
from typing import Any

import msgspec

LENGTH = struct.Struct("!I")
"""Every frame starts with the length of its body."""

MAX_FRAME = 2**31
"""Longer than any batch; a longer frame means that the stream is out of step."""


class Load(msgspec.Struct, tag=True):
    """Worker: load this model. `spec` is the ModelSpec as JSON, `source` its local files or None."""

    spec: bytes
    source: str | None


class Cost(msgspec.Struct, frozen=True):
    """What a micro-batch costs, as measured at warm-up."""

    budget: int
    """Padded tokens, or items for JSON inputs, at which a batch is full."""
    fixed_ms: float
    token_ms: float
    """Milliseconds of one more padded token; 0.0 where it was not measured."""

    @property
    def slack(self) -> float:
        """Padding, in tokens, that costs as much as one batch more; infinite where that is not known."""
        return self.fixed_ms / self.token_ms if self.token_ms > 0 else math.inf


class Loaded(msgspec.Struct, tag=True):
    """Engine: the model is loaded and warm."""

    device: str
    dtype: str
    max_length: int | None
    """Tokens beyond which a text is cut."""
    tokenizer_file: str | None
    seconds: float
    cost: Cost


class LoadFailed(msgspec.Struct, tag=True):
    """Engine: the model cannot be loaded, for a reason that a restart will not cure."""

    message: str


class Run(msgspec.Struct, tag=True):
    """Worker: run these inputs as one micro-batch."""

    inputs: list[Any]
    parameters: dict[str, Any]


class Failure(msgspec.Struct):
    """Why one input has no output. `kind` is the last part of the problem's type."""

    kind: str
    detail: str


class Ran(msgspec.Struct, tag=True):
    """Engine: one JSON output, or the failure to encode it, for each input in order."""

    outputs: list[bytes | Failure]
    milliseconds: float


class Raised(msgspec.Struct, tag=True):
    """Engine: the pipeline raised; none of the batch has an output."""

    detail: str


_requests: msgspec.msgpack.Decoder[Load | Run] = msgspec.msgpack.Decoder(Load | Run)
_replies: msgspec.msgpack.Decoder[Loaded | LoadFailed | Ran | Raised] = msgspec.msgpack.Decoder(
    Loaded | LoadFailed | Ran | Raised
)


def encode(message: Load | Run | Loaded | LoadFailed | Ran | Raised) -> bytes:
    """The message as one frame."""
    body = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(body)) + body


def decode_request(body: bytes) -> Load | Run:
    return _requests.decode(body)


def decode_reply(body: bytes) -> Loaded | LoadFailed | Ran | Raised:
    return _replies.decode(body)
