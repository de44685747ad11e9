"""A TorchScript archive, `.pt`. It contains a program, which torch runs.

PyTorch has deprecated TorchScript for `torch.export` (`torch_export.py`).
"""

from pathlib import Path
from typing import Any

import torch

from examples.formats import iris


class TorchScript:
    """Loads what `torch.jit.save` wrote."""

    def __init__(self, source: Path) -> None:
        self.model = torch.jit.load(source, map_location="cpu")  # type: ignore[no-untyped-call]

    @torch.inference_mode()
    def __call__(self, rows: list[Any]) -> list[dict[str, float]]:
        return iris.named(self.model(torch.from_numpy(iris.table(rows))))
