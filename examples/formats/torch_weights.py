"""Only the weights of a torch module, `.pt`; the module itself is code of this project.

With `weights_only=True` loading runs no code from the file. The same class with
`safetensors.torch.load_file(source)` loads a `.safetensors` file.
"""

from pathlib import Path
from typing import Any

import torch

from examples.formats import iris


class Network(torch.nn.Sequential):
    """Four lengths -> 16 -> the probability of each flower."""

    def __init__(self) -> None:
        layers = torch.nn.Linear(4, 16), torch.nn.ReLU(), torch.nn.Linear(16, 3), torch.nn.Softmax(-1)
        super().__init__(*layers)


class TorchWeights:
    """Loads what `torch.save(module.state_dict(), ...)` wrote."""

    def __init__(self, source: Path) -> None:
        self.model = Network().eval()
        self.model.load_state_dict(torch.load(source, map_location="cpu", weights_only=True))

    @torch.inference_mode()
    def __call__(self, rows: list[Any]) -> list[dict[str, float]]:
        return iris.named(self.model(torch.from_numpy(iris.table(rows))))
