"""The interface of a pipeline with continuous batching: rows join and leave between two steps.

Each row is one input with its own parameters. One step generates a token for every row that has joined. A
row that ends leaves at once, and a waiting one takes its slot (iteration-level scheduling: Yu et al., "Orca",
OSDI 2022).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Row = Any
"""One input that is being generated; known only to the pipeline.

If it has an attribute `prompt_tokens`, this is reported as the number of tokens of the input. How many rows
join at a time is decided by `joining_tokens`, the tokens that are computed when it joins, or else by
`prompt_tokens`; it is read after `fits`."""


@dataclass(slots=True)
class Progress:
    """What one step generated for one row."""

    row: Row
    text: str = ""
    """New text since the last report; only whole characters, nothing that may still become a stop string."""
    tokens: int = 0
    """Number of tokens that the row has generated in total."""
    done: bool = False
    """Whether the row has ended and left; `output` has its answer."""
    error: Exception | None = None
    """Why the row alone failed; it has left."""


class ContinuousPipeline(Protocol):
    """A loaded pipeline whose batch changes while it runs.

    If `join` or `step` raises, `leave` is called for each of its rows, whether it had joined or not.
    """

    slots: int
    """Maximum rows that are computed at a time; 0: this model cannot batch continuously."""

    def row(self, one: Any, parameters: dict[str, Any]) -> Row:
        """Checks and tokenises one input. Raises InvalidRequest. May run beside the other calls."""
        ...

    def fits(self, row: Row) -> bool:
        """Whether a slot, and memory for the row's keys and values up to its limit, are free.

        If so, they are reserved for the row until the next `join`, `step` or `leave`.
        """
        ...

    def join(self, rows: Sequence[Row]) -> None:
        """Computes the prompts of rows that fit; they take part in the next step.

        A long prompt may be computed in pieces by the next calls of `step`.
        """
        ...

    def step(self) -> list[Progress]:
        """Generates one token for every row that has joined.

        Rows that have just joined may be returned first, without the others, with the token that follows from
        their prompts.
        """
        ...

    def leave(self, row: Row) -> None:
        """Drops a row that was withdrawn; its slot is free at once."""
        ...

    def output(self, row: Row) -> Any:
        """Returns the answer of a row that is done, as `answer` would. May run beside the other calls."""
        ...
