"""The protocol between worker and engine: msgpack messages in frames on a socket pair.

A frame's header has the id of the request that it makes, withdraws or answers. Ids are random, so anything
else on the socket, such as log output or the answer to an older request, is recognised by its id.
"""

import secrets
import struct
from typing import Any

import msgspec

from jobs.problem_kinds import FailureKind

HEADER = struct.Struct("!QI")
"""Every frame starts with the id of its request and the length of its body in bytes."""

MAX_FRAME = 2**31
"""More than any batch has; a longer frame means that the stream is corrupt."""


CHARS_PER_TOKEN = 4
"""Estimated characters per token without a tokenizer: about right for Latin letters. The engine's calibration
and the worker's first measurements must use the same value; the worker then learns a better one."""


class Load(msgspec.Struct, tag=True):
    """From the worker: load this model. `spec` is the ModelSpec as JSON, `source` its local files or None."""

    spec: bytes
    source: str | None


NO_BUDGET = 2**53
"""A budget that no batch reaches: only the number of items limits the batch."""


class Cost(msgspec.Struct, frozen=True):
    """The cost of a micro-batch as measured at warm-up: about `fixed_ms + token_ms * tokens`."""

    budget: int
    """Tokens that the model computes in a full batch, padding included; items for JSON inputs."""
    fixed_ms: float = 0.0
    token_ms: float = 0.0
    """Milliseconds per additional token or JSON input; 0.0 if not measured."""


class Loaded(msgspec.Struct, tag=True):
    """From the engine: the model is loaded and warm."""

    device: str
    dtype: str
    max_length: int | None
    """Maximum tokens of a text; longer ones are truncated."""
    tokenizer_file: str | None
    seconds: float
    """Time for loading, warming up and, if there are no earlier results, measuring."""
    cost: Cost
    packs: bool
    """Whether a batch is computed without padding; otherwise each input costs as much as the longest."""
    threads: int
    """Threads that compute one micro-batch."""
    why: str
    """Short explanation of where dtype and budget come from."""
    step_ms: float = 0.0
    """Milliseconds of one generation step, measured at warm-up; 0.0 if the task generates nothing."""
    new_tokens: int = 0
    """Maximum new tokens per text if the job does not set it."""
    defaults: dict[str, Any] = {}
    """Parameters from the model's own files."""
    writes_files: bool = False
    """Whether outputs may contain files."""
    unit_seconds: float | None = None
    """The seconds of sound that count as one in costs; None if lengths are not seconds."""
    slots: int = 0
    """Rows that are computed at a time with continuous batching; 0: the model runs one batch after the other.
    Then each Run has one input, many are unanswered at a time, and they are answered in any order."""
    backend: str = ""
    """The library that computes the model; empty if it is not known."""


class LoadFailed(msgspec.Struct, tag=True):
    """From the engine: the model cannot be loaded, and a restart would not help."""

    message: str


class Run(msgspec.Struct, tag=True):
    """From the worker: run these inputs as one micro-batch. An undecodable input fails the batch."""

    inputs: list[msgspec.Raw]
    parameters: dict[str, Any]
    alone: bool = False
    """Whether no other batch is sent until this one is answered."""
    links: list[str] = []
    """For each input the start of the addresses of its files, if the model writes files."""
    stream: bool = False
    """Whether partial answers are wanted; only with continuous batching."""


class Failure(msgspec.Struct):
    """Why one input has no output. `kind`, the last part of the problem's type, is checked by decoding."""

    kind: FailureKind
    detail: str


class OutputFile(msgspec.Struct):
    """A file that belongs to an output."""

    name: str
    """The last part of its address."""
    content_type: str
    content: bytes


class Ran(msgspec.Struct, tag=True):
    """From the engine: for each input in order, its JSON output, or the failure to encode it."""

    outputs: list[bytes | Failure]
    compute_ms: float
    """Time of the forward pass; meanwhile the batch before is answered and the next one prepared."""
    waited_ms: float
    """Time before the pass in which the model had nothing to compute."""
    tokens: int | None
    padded: int | None
    """Tokens that were run, without and with padding; None if the pipeline has no tokens."""
    steps: int = 0
    """Steps that generated a token for all texts; 0 if the task generates nothing."""
    files: dict[int, list[OutputFile]] = {}
    """Files of the outputs that have some, by the output's index."""
    rows: float = 0.0
    """With continuous batching: the rows of its steps, on average; `compute_ms` is its share of them."""


class Joined(msgspec.Struct, tag=True):
    """From the engine: this row is about to be computed; with continuous batching only."""


class Partial(msgspec.Struct, tag=True):
    """From the engine: more of an answer that is not complete; Ran follows with the whole answer.

    One without text also shows that the engine is alive, for any of the rows that have joined.
    """

    text: str
    """What is new since the last one."""
    tokens: int
    """Tokens generated so far in total."""


class Raised(msgspec.Struct, tag=True):
    """From the engine: the pipeline raised; the batch has no outputs."""

    detail: str
    shortage: bool = False
    """Whether memory ran out."""
    rows: int = 1
    """With continuous batching, the rows of the step that raised; each of them is answered so."""


class Withdraw(msgspec.Struct, tag=True):
    """From the worker: skip this request unless it has started; it is answered in either case.

    With continuous batching a row that has started leaves after the current step.
    """


class Withdrawn(msgspec.Struct, tag=True):
    """From the engine: that batch was not computed."""


Request = Load | Run | Withdraw
Reply = Loaded | LoadFailed | Ran | Joined | Partial | Raised | Withdrawn

_requests: msgspec.msgpack.Decoder[Request] = msgspec.msgpack.Decoder(Request)
_replies: msgspec.msgpack.Decoder[Reply] = msgspec.msgpack.Decoder(Reply)


def new_request_id() -> int:
    """64 random bits."""
    return secrets.randbits(64)


def encode(request_id: int, message: Request | Reply) -> bytes:
    """Returns the message as one frame."""
    body = msgspec.msgpack.encode(message)
    return HEADER.pack(request_id, len(body)) + body


def decode_request(body: bytes) -> Request:
    return _requests.decode(body)


def decode_reply(body: bytes) -> Reply:
    return _replies.decode(body)
