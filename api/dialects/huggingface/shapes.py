"""Shape: how the requests and answers of one task differ from those of `/v1/jobs`."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Shape:
    """The requests and answers of one task. Without any argument they are those of `/v1/jobs`."""

    beside: tuple[str, ...] = ()
    """Parameters that clients send at the root of the body, beside `inputs`."""
    parts: tuple[str, ...] = ()
    """Values of the input that clients send at the root of the body, beside `inputs`."""
    moved: tuple[str, ...] = ()
    """Parameters of clients that are values of the input here."""
    medium: str | None = None
    """The value of the input that a medium is if it is sent alone."""
    renamed: Mapping[str, str] = field(default_factory=dict)
    """Parameters of clients -> ours."""
    only: Mapping[str, tuple[Any, ...]] = field(default_factory=dict)
    """Parameters that may have these values alone, because they ask for what is done anyway."""
    ignored: tuple[str, ...] = ()
    """Parameters that have no effect on an answer."""
    defaults: Mapping[str, Any] = field(default_factory=dict)
    """Parameters of a request that does not give them, unless the model's entry has a default."""
    adjusted: Callable[[dict[str, Any]], dict[str, Any]] = dict
    """Changes the parameters, after all of the above."""
    output: Callable[[Any], Any] | None = None
    """Changes the output for one input; None leaves its JSON as it is."""
    listed: bool = False
    """Whether the answer for one input is a list with its output, as for several inputs."""
    body: str | None = None
    """The value of the output that is a file, whose bytes are the whole answer."""
    streams: bool = False
    """Whether `stream` may be true."""

    @property
    def root(self) -> tuple[str, ...]:
        """The fields of a body of this task, besides those of all tasks."""
        return (*self.beside, *self.parts)
