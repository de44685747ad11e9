"""Rows of different lengths as one rectangle, and back."""

from collections.abc import Sequence
from typing import Any

import torch


def pad_right(rows: Sequence[Sequence[Any]], value: int) -> torch.Tensor:
    """[rows, longest], the short rows filled up with `value` at their end."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def pad_left(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, [rows, longest] each, the short rows filled up at their start.

    A row is filled with its own first token: it is masked, so that attention never sees it, and
    penalties on tokens that occurred before meet none that didn't.
    """
    longest = max(map(len, rows))
    ids = [[*[row[0]] * (longest - len(row)), *row] for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)
