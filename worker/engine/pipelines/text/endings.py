"""Where a generated text ends: the rest of its row is the batch's padding."""

from collections.abc import Set
from typing import Any


def ends_of(model: Any) -> set[int]:
    """Returns the tokens that end a text which the model generates."""
    token = model.generation_config.eos_token_id
    if token is None:
        return set()
    return {token} if isinstance(token, int) else set(token)


def until_end(tokens: list[int], ends: Set[int]) -> list[int]:
    """Returns the tokens up to the first that ends the text."""
    for i, token in enumerate(tokens):
        if token in ends:
            return tokens[: i + 1]
    return tokens
