"""Sample: one file of the corpus."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["answer", "refused", "either"]
"""`either`: a damaged file of which decoders may still read enough."""


@dataclass(frozen=True, slots=True)
class Sample:
    """A file and what must happen to it."""

    name: str
    data: bytes
    outcome: Outcome
