"""Texts as vectors."""

from typing import Any

import torch
from torch.nn.functional import normalize

from worker.pipelines.text import EncoderPipeline


class FeatureExtraction(EncoderPipeline):
    """The last hidden states: [1][tokens][dim], or [dim] when they are pooled."""

    def _answer(self, texts: list[str], parameters: dict[str, Any]) -> list[Any]:
        pooling = parameters.get("pooling", "none")
        outputs = [_pooled(hidden, pooling) for hidden in self._predict(texts)]
        if parameters.get("normalize", False):
            outputs = [normalize(output.float(), dim=-1) for output in outputs]
        return [output.tolist() for output in outputs]


def _pooled(hidden: torch.Tensor, pooling: str) -> torch.Tensor:
    if pooling == "mean":
        return hidden.float().mean(dim=0)
    if pooling == "cls":
        return hidden[0]
    return hidden[None]
