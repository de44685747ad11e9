"""A program from `torch.export`, `.pt2`. Loading it may run code in it.

Its weights and sample inputs may be pickle, which the environment variable refuses. Other parts remain (torch
2.13), so do not load a file that you would not run as a program.

Export it with a dynamic number of rows (`torch.export.Dim`), or it accepts batches of one size only.
"""

import os
from pathlib import Path
from typing import Any

import torch

from examples.formats import iris


class TorchExport:
    """Loads what `torch.export.save` wrote."""

    def __init__(self, source: Path) -> None:
        os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] = "1"
        self.model = torch.export.load(source).module()

    @torch.inference_mode()
    def __call__(self, rows: list[Any]) -> list[dict[str, float]]:
        return iris.named(self.model(torch.from_numpy(iris.table(rows))))
