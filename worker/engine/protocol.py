"""What the worker and its engine say to each other: msgpack messages in frames on a socket pair.

A frame's header has the id of the request that it makes, withdraws or answers. Ids are random, so anything
else on the socket, such as a line meant for a log or the answer to an older request, is recognised by its id.
"""

import secrets
import struct
from typing import Any

import msgspec

from jobs.problem_kinds import FailureKind

HEADER = struct.Struct("!QI")
"""Every frame starts with the id of its request and the length of its body in bytes."""

MAX_FRAME = 2**31
"""Longer than any batch; a longer frame means that the stream is out of step."""


CHARS_PER_TOKEN = 4
"""Characters that count as one token where there is no tokenizer: about right for Latin letters. The engine's
calibration and the worker's first measurements agree on it; the worker then learns a better one."""


class Load(msgspec.Struct, tag=True):
    """Worker: load this model. `spec` is the ModelSpec as JSON, `source` its local files or None."""

    spec: bytes
    source: str | None


NO_BUDGET = 2**53
"""A budget that no batch reaches: only the number of items ends it."""


class Cost(msgspec.Struct, frozen=True):
    """What a micro-batch costs, as measured at warm-up: about `fixed_ms + token_ms * tokens`."""

    budget: int
    """Tokens (items for JSON inputs) that a full batch has the model compute, padding and all."""
    fixed_ms: float = 0.0
    token_ms: float = 0.0
    """Milliseconds of one more token, or JSON input; 0.0 where it was not measured."""


class Loaded(msgspec.Struct, tag=True):
    """Engine: the model is loaded and warm."""

    device: str
    dtype: str
    max_length: int | None
    """Tokens beyond which a text is cut."""
    tokenizer_file: str | None
    seconds: float
    """Spent on loading, warming up and, where nothing was known from earlier, measuring."""
    cost: Cost
    packs: bool
    """Whether a batch has the model compute no padding: else each input costs as much as the longest."""
    threads: int
    """Threads that compute one micro-batch."""
    why: str
    """Where dtype and budget are from, in a few words for a person."""
    step_ms: float = 0.0
    """Milliseconds of a step of generating, as measured at warm-up; 0.0 where the task generates nothing."""
    new_tokens: int = 0
    """Tokens that a text gets at most where its job does not say."""
    defaults: dict[str, Any] = {}
    """Parameters that the model's own files ask for."""


class LoadFailed(msgspec.Struct, tag=True):
    """Engine: the model cannot be loaded, for a reason that a restart will not cure."""

    message: str


class Run(msgspec.Struct, tag=True):
    """Worker: run these inputs as one micro-batch. Each is decoded with its batch, and may fail with it."""

    inputs: list[msgspec.Raw]
    parameters: dict[str, Any]
    alone: bool = False
    """Whether nothing else is sent until it is answered."""


class Failure(msgspec.Struct):
    """Why one input has no output. `kind` is the last part of the problem's type; no other can be decoded."""

    kind: FailureKind
    detail: str


class Ran(msgspec.Struct, tag=True):
    """Engine: one JSON output, or the failure to encode it, for each input in order."""

    outputs: list[bytes | Failure]
    compute_ms: float
    """That the forward pass took; the batches before and behind are answered and prepared meanwhile."""
    waited_ms: float
    """That the model had nothing to compute before it."""
    tokens: int | None
    padded: int | None
    """Tokens that were run, without and with padding; None where the pipeline has none."""
    steps: int = 0
    """Steps that generated a token for all texts; 0 where the task generates nothing."""


class Raised(msgspec.Struct, tag=True):
    """Engine: the pipeline raised; none of the batch has an output."""

    detail: str
    shortage: bool = False
    """Whether it had no memory left."""


class Withdraw(msgspec.Struct, tag=True):
    """Worker: do not compute the request of this id, unless that has begun; it is answered anyway."""


class Withdrawn(msgspec.Struct, tag=True):
    """Engine: that batch was not computed."""


Request = Load | Run | Withdraw
Reply = Loaded | LoadFailed | Ran | Raised | Withdrawn

_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def new_request_id() -> int:
    """64 random bits."""
    return secrets.randbits(64)


def encode(request_id: int, message: Request | Reply) -> bytes:
    """The message as one frame."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(request_id, len(body)) + body


def decode_request(body: bytes) -> Request:
    return _requests.decode(body)


def decode_reply(body: bytes) -> Reply:
    return _replies.decode(body)
