"""One prompt that is continued: its parameters and its progress."""

from dataclasses import dataclass, field
from typing import Any

from worker.engine.pipelines.text.continuous.choice import Choice
from worker.engine.pipelines.text.continuous.prompts import Prompt
from worker.engine.pipelines.text.continuous.text_stream import TextStream


@dataclass(slots=True, eq=False)
class GenerationRow:
    """Known to the engine only as a Row."""

    text: Any
    """The input; a chat is an object."""
    prompt: list[int]
    """The tokens that the model reads."""
    limit: int
    """The most new tokens."""
    parameters: dict[str, Any]
    choice: Choice
    stream: TextStream
    computed: Prompt = field(init=False)
    """The prompt, as far as it is computed before the row has a slot."""
    joining_tokens: int = field(init=False)
    """See `worker/engine/pipelines/continuous.py`."""
    slot: int = field(default=-1)
    """Its index among the rows that have joined; -1: it has not joined, or has left."""

    def __post_init__(self) -> None:
        self.computed = Prompt(self.prompt, self.end)
        self.joining_tokens = len(self.prompt)

    @property
    def tokens(self) -> list[int]:
        """The new tokens."""
        return self.stream.tokens

    @property
    def prompt_tokens(self) -> int:
        """See `worker/engine/pipelines/continuous.py`."""
        return len(self.prompt)

    @property
    def end(self) -> int:
        """The most positions that it will have."""
        return len(self.prompt) + self.limit
