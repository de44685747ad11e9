"""Input: the base of all kinds of inputs, and the limits that a model sets."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from jobs.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class InputLimits:
    """Largest input that a model accepts, each limit by its name in `models.toml`."""

    max_input_chars: int
    """Characters of texts, or bytes of JSON."""
    max_input_bytes: int = 0
    """Bytes of a medium, encoded as it is sent."""
    max_pixels: int = 50_000_000
    max_frames: int = 10_000
    max_seconds: float = 3_600.0
    max_sample_rate: int = 384_000


class Input(ABC):
    """A kind of input."""

    name: ClassVar[str]
    """The kind's name in the API and the pages."""
    opens: ClassVar[bytes] = b'"'
    """The first byte of the input's JSON; empty if it may be any."""
    is_json: ClassVar[bool] = False
    """Whether people enter it as JSON; otherwise it is a string and entered as plain text."""
    is_packed: ClassVar[bool] = False
    """Whether the worker leaves it as msgpack for the engine, because decoding it may take too much time."""
    is_text: ClassVar[bool] = False
    """Whether an input that is a text is itself the one text that the model reads for it."""
    has_texts: ClassVar[bool] = True
    """Whether held-out texts can be used as such inputs."""
    has_media: ClassVar[bool] = False
    """Whether it contains bytes: then `admit` changes its form."""
    max_chars: int = 100_000
    """Default of `max_input_chars`."""
    max_bytes: int = 0
    """Default of `max_input_bytes`; 0 for a kind without media."""
    max_batch_items: int = 256
    """Default of the model's `max_batch_items`."""

    def is_medium(self, field: str | None) -> bool:
        """Whether that value of an input is a medium; None stands for the input as a whole."""
        return False

    def accepts_all(self, items: Sequence[Any], limits: InputLimits) -> bool:
        """Whether a quick check accepts all inputs; otherwise `accept` decides for each."""
        return False

    def accept(self, item: Any, limits: InputLimits, pointer: str) -> None:
        """Raises InvalidRequest with the pointer for an input of another kind or above a limit."""
        self.check(item, pointer)
        size = self.measure(item)
        if size > limits.max_input_chars:
            raise InvalidRequest(
                f"inputs: {size} characters exceed this model's limit of {limits.max_input_chars}"
                " (max_input_chars in models.toml)",
                pointer=pointer,
            )

    def admit(self, item: Any, limits: InputLimits, pointer: str) -> Any:
        """Returns an accepted input in the form in which its job carries it. Raises as `accept`."""
        self.accept(item, limits, pointer)
        return item

    @abstractmethod
    def check(self, item: Any, pointer: str) -> None:
        """Raises InvalidRequest with the pointer for an input of another kind."""

    @abstractmethod
    def measure(self, item: Any) -> int:
        """Returns the size to compare with the limit: characters, or bytes of JSON."""

    @abstractmethod
    def describe(self, limits: InputLimits) -> dict[str, Any]:
        """Returns the JSON Schema of one input; empty if it may be any value."""

    @abstractmethod
    def show(self, item: Any) -> str:
        """Returns the input in a readable form."""

    @abstractmethod
    def cut(self, item: Any, limit: int) -> Any:
        """Shortens the texts of an example to so many characters."""

    def texts(self, item: Any) -> list[str]:
        """Returns the texts that the model reads for this input, one per row of a forward pass.

        None if the cost does not depend on texts; all such inputs have the same cost.
        """
        return []

    def weigh(self, item: Any, unit_seconds: float | None) -> int:
        """Returns what an input without texts costs; `unit_seconds` of sound cost 1, if the model says so."""
        return 1
