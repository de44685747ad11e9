"""Where a generated text ends: the rest of its row is the batch's padding."""

from collections.abc import Sequence, Set
from typing import Any


def ends_of(model: Any) -> set[int]:
    """Returns the tokens that end a text which the model generates."""
    token = model.generation_config.eos_token_id
    if token is None:
        return set()
    return {token} if isinstance(token, int) else set(token)


def details_of(prompt: Sequence[int], new: Sequence[int], ends: Set[int], *, stopped: bool) -> dict[str, Any]:
    """Returns why a text has ended, and its numbers of tokens. The names are text-generation-inference's."""
    reason = "stop_sequence" if stopped else "eos_token" if new and new[-1] in ends else "length"
    return {"finish_reason": reason, "prompt_tokens": len(prompt), "generated_tokens": len(new)}


def until_end(tokens: list[int], ends: Set[int]) -> list[int]:
    """Returns the tokens up to the first that ends the text."""
    for i, token in enumerate(tokens):
        if token in ends:
            return tokens[: i + 1]
    return tokens
