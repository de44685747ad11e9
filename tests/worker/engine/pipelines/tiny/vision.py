"""Models of images."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.worker.engine.pipelines.tiny.text import SIZES


def _sees(model: Any, configuration: Any, config: dict[str, Any]) -> Callable[[Path], None]:
    """A model of images of 32 x 32 pixels."""

    def save(folder: Path) -> None:
        torch.manual_seed(11)
        built = model(configuration(num_labels=7, **config)).eval()
        for parameter in built.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        built.save_pretrained(folder)
        side = {"height": 32, "width": 32}
        transformers.ViTImageProcessor(size=side, image_mean=[0.5, 0.4, 0.3]).save_pretrained(folder)

    return save


BUILDERS: dict[str, Callable[[Path], None]] = {
    "image-classification": _sees(
        transformers.ViTForImageClassification,
        transformers.ViTConfig,
        {**SIZES, "image_size": 32, "patch_size": 8, "initializer_range": 0.3},
    ),
    "resnet": _sees(
        transformers.ResNetForImageClassification,
        transformers.ResNetConfig,
        {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "layer_type": "basic"},
    ),
}
