"""The forms that a medium has within a job's inputs.

bytes    the medium itself
Link     its address; the API fetches it before the job is submitted, so no queue ever holds one
Stored   a reference to bytes beside the payload of the same job, which the worker replaces after its claim

A reference names no job: it is looked up beside the payload that contains it. So nobody can refer to the
media of somebody else's job.
"""

import hashlib
from collections.abc import Callable, Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta

CODE = 2
"""msgpack extension code of a Stored reference."""

_Whole = Annotated[int, Meta(ge=0, lt=2**53)]


class Link(msgspec.Struct, frozen=True):
    """The address of a medium."""

    url: str


class Stored:
    """A medium beside the payload. No Struct: msgspec would encode it as a list, which an input may be."""

    __slots__ = ("digest", "index", "size", "start")

    def __init__(self, index: int, size: int, digest: bytes, start: bytes) -> None:
        self.index = index
        """Its field in the job's media."""
        self.size = size
        """Its bytes."""
        self.digest = digest
        """Its SHA-256, by which a repeated request is recognised, and a damaged medium."""
        self.start = start
        """Its first bytes, which name its format."""

    @property
    def fields(self) -> tuple[int, int, bytes, bytes]:
        """All of it, in the order of the queue's format."""
        return self.index, self.size, self.digest, self.start

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stored) and self.fields == other.fields

    def __hash__(self) -> int:
        return hash(self.fields)

    def __repr__(self) -> str:
        return f"Stored{self.fields}"


Medium = bytes | Link | Stored


def digest(data: bytes) -> bytes:
    """Returns the SHA-256 of a medium."""
    return hashlib.sha256(data).digest()


def changed(value: Any, change: Callable[[Medium], Any]) -> Any:
    """Returns the inputs with each medium replaced by what `change` returns for it, in order."""
    if isinstance(value, bytes | Link | Stored):
        return change(value)
    if isinstance(value, list):
        return [changed(entry, change) for entry in value]
    if isinstance(value, dict):
        return {name: changed(entry, change) for name, entry in value.items()}
    return value


def links(inputs: Any) -> Iterator[tuple[str, Link]]:
    """Yields each link of a job's inputs with its JSON pointer in the request."""
    yield from _links(inputs, "/inputs")


def _links(value: Any, pointer: str) -> Iterator[tuple[str, Link]]:
    if isinstance(value, Link):
        yield pointer, value
    elif isinstance(value, list | dict):
        for name, entry in enumerate(value) if isinstance(value, list) else value.items():
            yield from _links(entry, f"{pointer}/{name}")


def media_bytes(inputs: Any) -> int:
    """Returns the bytes of all media that are within inputs themselves."""
    sizes: list[int] = []
    changed(inputs, lambda medium: sizes.append(len(medium)) if isinstance(medium, bytes) else None)
    return sum(sizes)


def to_ext(value: Any) -> msgspec.msgpack.Ext:
    """`enc_hook` of the queue's format."""
    if isinstance(value, Stored):
        return msgspec.msgpack.Ext(CODE, msgspec.msgpack.encode(value.fields))
    raise NotImplementedError(f"cannot encode {type(value).__name__}")


def from_ext(code: int, data: memoryview) -> Any:
    """`ext_hook` of the queue's format. Raises msgspec.MsgspecError for a damaged reference."""
    if code == CODE:
        return Stored(*msgspec.msgpack.decode(data, type=tuple[_Whole, _Whole, bytes, bytes]))
    return msgspec.msgpack.Ext(code, bytes(data))
