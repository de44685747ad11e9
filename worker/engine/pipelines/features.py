"""Texts as vectors."""

from typing import Any

import torch
from torch.nn.functional import normalize

from worker.engine.pipelines.encoder import EncoderPipeline, Predicted
from worker.engine.pipelines.interface import Prepared


class FeatureExtraction(EncoderPipeline):
    """The last hidden states: [1][tokens][dim], or [dim] when they are pooled."""

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        return self._rows(texts, self._encode(texts), parameters)

    def _answer(self, computed: Predicted) -> list[Any]:
        options = computed.rows.options
        outputs = [_pooled(hidden, options.get("pooling", "none")) for hidden in computed.outputs]
        if options.get("normalize", False):
            outputs = [normalize(output.float(), dim=-1) for output in outputs]
        return [output.tolist() for output in outputs]


def _pooled(hidden: torch.Tensor, pooling: str) -> torch.Tensor:
    if pooling == "mean":
        return hidden.float().mean(dim=0)
    if pooling == "cls":
        return hidden[0]
    return hidden[None]
