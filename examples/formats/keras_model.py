"""A Keras model, `.keras` or `.h5`, on the torch backend; TensorFlow is not needed.

With `safe_mode=True` a file with code in it, such as a Lambda layer, is refused. `compile=False`: the
optimizer and the losses of the training are not needed.
"""

import os
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")  # before the import

import keras

from examples.formats import iris


class Keras:
    """Loads what `model.save` wrote."""

    def __init__(self, source: Path) -> None:
        self.model = keras.saving.load_model(source, compile=False, safe_mode=True)

    def __call__(self, rows: list[Any]) -> list[dict[str, float]]:
        return iris.named(self.model.predict_on_batch(iris.table(rows)))
