"""Iris flowers: an input is a row of four lengths in cm, an output the probability of each kind of flower."""

from typing import Any

import numpy as np

FLOWERS = ("setosa", "versicolor", "virginica")
COLUMNS = ("sepal length", "sepal width", "petal length", "petal width")


def table(rows: list[Any]) -> np.ndarray:
    """Returns the rows as float32, [rows, 4]. Raises ValueError with a sentence for the sender of a bad one.

    With several rows the batch is halved until the bad one is alone, so the sentence is about the first.
    """
    for row in rows:
        numbers = isinstance(row, list) and all(type(value) in (int, float) for value in row)
        if not numbers or len(row) != len(COLUMNS):
            raise ValueError(f"an input must be a list of {len(COLUMNS)} numbers: {', '.join(COLUMNS)} in cm")
    return np.array(rows, dtype=np.float32)


def named(probabilities: Any) -> list[dict[str, float]]:
    """Returns `{"setosa": 0.98, ...}` for each row."""
    return [dict(zip(FLOWERS, row, strict=True)) for row in probabilities.tolist()]
