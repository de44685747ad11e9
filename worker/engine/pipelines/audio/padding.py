"""Padding: rows of sound of different lengths in one pass, for models that ignore what their mask hides."""

from collections.abc import Callable, Sequence

import torch

from worker.engine.pipelines.staged import Pass, Row, Tensors


def padded(rows: Sequence[Row], most: int, budget: int | None) -> list[Pass]:
    """Returns the rows in passes of up to `most` rows of similar lengths, padded within the budget.

    Each tensor of a row is [1, length]; zeros are added behind it, so its mask hides them.
    """
    parts: list[list[int]] = []
    for place in sorted(range(len(rows)), key=lambda place: rows[place].units):
        part = parts[-1] if parts else []
        cost = rows[place].units * (len(part) + 1)
        if not part or len(part) == most or (budget is not None and cost > budget):
            parts.append([place])
        else:
            part.append(place)
    return [Pass(part, rectangle([rows[place].tensors for place in part])) for part in parts]


def rectangle(rows: Sequence[Tensors]) -> Tensors:
    """Returns the tensors of all rows as [rows, length of the longest]."""
    return {
        name: torch.nn.utils.rnn.pad_sequence([row[name][0] for row in rows], batch_first=True)
        for name in rows[0]
    }


def is_harmless(run: Callable[[Tensors], torch.Tensor], rows: Sequence[Tensors], tolerance: float) -> bool:
    """Whether a longer neighbour leaves the answers as they are; `run` returns [rows, length, ...]."""
    together = run(rectangle(rows))
    for answer, row in zip(together, rows, strict=True):
        alone = run(row)[0]
        if float((answer[: len(alone)] - alone).abs().max()) > tolerance * float(alone.abs().max()) + 1e-6:
            return False
    return True
