"""Pads rows of different lengths to one rectangle."""

from collections.abc import Sequence
from typing import Any

import torch


def pad_right(rows: Sequence[Sequence[Any]], value: Any) -> torch.Tensor:
    """Returns [rows, longest]; short rows are filled with `value` at the end."""
    longest = max(map(len, rows))
    return torch.tensor([[*row, *[value] * (longest - len(row))] for row in rows])


def pad_left(rows: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns token ids and attention mask, [rows, longest] each; short rows are filled at the start.

    A row is filled with its own first token. It is masked, so attention ignores it, and penalties on repeated
    tokens apply only to tokens that did occur.
    """
    longest = max(map(len, rows))
    ids = [[*[row[0]] * (longest - len(row)), *row] for row in rows]
    mask = [[0] * (longest - len(row)) + [1] * len(row) for row in rows]
    return torch.tensor(ids), torch.tensor(mask)
