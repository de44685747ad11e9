"""LineCall: a call whose request is one line of a batch instead of an HTTP request.

`read` makes a job of the line's body, `answer` makes the JSON that the synchronous call would have sent. The
synchronous calls are built of the same functions. A dialect offers its calls as `Dialect.line_calls`, and
`bulk/runner/lines/` runs them: lines with equal parameters share a job, so `answer` gets the part of the
job that is the line's.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, NamedTuple, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

from api.problems.problem import Problem
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import Job, NewJob, ResultError
from jobs.settings import Settings

C = TypeVar("C")
"""The type of the data that `read` passes to `answer`."""

NO_MODEL = "model: give the name of a model; a line of a batch needs one"


class Result(msgspec.Struct, frozen=True, omit_defaults=True):
    """The result of one input: an output as JSON, or why there is none."""

    output: msgspec.Raw | UnsetType = UNSET
    error: ResultError | UnsetType = UNSET


class Refused(NamedTuple):
    """An error as the dialect presents it."""

    status: int
    """HTTP status."""
    body: bytes
    """JSON."""


@dataclass(frozen=True)
class LineCall(Generic[C]):
    """A call that a line of a batch may name as its `url`."""

    url: str
    """The path, such as `/v1/embeddings`."""
    read: Callable[[bytes, ModelCatalog, Settings], tuple[NewJob, C]]
    """Makes a job of a line's body, and the data that `answer` needs, without inputs. Raises InvalidRequest
    or Refusal."""
    answer: Callable[[Job, Sequence[Result], C], bytes]
    """Makes the JSON answer of an ended job and the results of its inputs, in their order. Raises Refusal
    if the call fails with these results."""
    refuse: Callable[[Problem], Refused]
    """Presents a problem as the dialect's error."""
    needs_model: bool = True
    """Whether a line must name its model. The default model may be another one when a late line runs."""

    def model_of(self, body: bytes, catalog: ModelCatalog) -> ModelSpec:
        """The model that a line asks for. Raises UnknownModel; InvalidRequest if the body names none."""
        name = _model(body, needs_model=self.needs_model)
        return catalog.default if name is None else catalog[name]

    def parse(self, body: bytes, catalog: ModelCatalog, settings: Settings) -> tuple[NewJob, C]:
        """As `read`, and refuses what a line cannot have: a stream, or no model."""
        _check(body, needs_model=self.needs_model)
        return self.read(body, catalog, settings)


class _Head(msgspec.Struct, frozen=True):
    """What a body has of interest here; the rest is skipped, not checked."""

    model: msgspec.Raw = msgspec.Raw()
    stream: msgspec.Raw = msgspec.Raw()


ABSENT = (b"", b"null")

_heads = msgspec.json.Decoder(_Head)
_texts = msgspec.json.Decoder(str)


def _model(body: bytes, *, needs_model: bool) -> str | None:
    try:
        head = _heads.decode(body)
        if bytes(head.model) not in ABSENT:
            return _texts.decode(head.model)
    except msgspec.ValidationError:
        what = "the body: give an object" if body[:1] != b"{" else "model: give a text"
        raise InvalidRequest(what, None if body[:1] != b"{" else "/model") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    if needs_model:
        raise InvalidRequest(NO_MODEL, "/model")
    return None


def _check(body: bytes, *, needs_model: bool) -> None:
    try:
        head = _heads.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return  # `read` says what is wrong
    if needs_model and bytes(head.model) in ABSENT:
        raise InvalidRequest(NO_MODEL, "/model")
    if bytes(head.stream) == b"true":
        raise InvalidRequest(
            "stream: a line of a batch cannot be answered with a stream; leave it out", "/stream"
        )
