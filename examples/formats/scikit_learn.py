"""A scikit-learn model from a `.joblib` file. The file is pickle: loading it runs the code in it."""

from pathlib import Path
from typing import Any

import joblib

from examples.formats import iris


class ScikitLearn:
    """Loads what `joblib.dump` wrote."""

    def __init__(self, source: Path) -> None:
        self.model = joblib.load(source)

    def __call__(self, rows: list[Any]) -> list[dict[str, float]]:
        return iris.named(self.model.predict_proba(iris.table(rows)))
