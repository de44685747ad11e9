"""An ONNX file. It contains a graph of known operators and no code.

onnxruntime does not read OMP_NUM_THREADS, in which the engine puts the number of threads (`threads` in
`models.toml`), so the class passes it on.
"""

import os
from pathlib import Path
from typing import Any

import onnxruntime

from examples.formats import iris


class Onnx:
    """Loads a file whose input has a dynamic number of rows."""

    def __init__(self, source: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")  # leaves the cores to others
        self.session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        self.name = self.session.get_inputs()[0].name

    def __call__(self, rows: list[Any]) -> list[dict[str, float]]:
        [probabilities] = self.session.run(None, {self.name: iris.table(rows)})
        return iris.named(probabilities)
