"""Feature extraction: texts as vectors."""

import math
from typing import Any

import numpy as np
import torch
import transformers
from torch.nn.functional import normalize

from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.encoder import EncoderPipeline, Encoding, Predicted
from worker.engine.pipelines.vectors import encoded


class FeatureExtraction(EncoderPipeline):
    """Returns the last hidden states: [1][tokens][dim], or [dim] if pooled."""

    architecture = Architecture(transformers.AutoModel, unread=("pooler.",))
    postprocessing = "feature-extraction"
    has_vectors = True

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        self._trained = checkpoint.trained
        super().__init__(spec, checkpoint)
        self.defaults = dict(checkpoint.trained.defaults)

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        return self._rows(texts, self._encode(texts), parameters)

    def _encode(self, texts: list[str], *pairs: list[str], **options: Any) -> Encoding:
        if self._trained.prompt:
            texts = [self._trained.prompt + text for text in texts]
        if self._trained.lower_case:
            texts = [text.lower() for text in texts]
        return super()._encode(texts, *pairs, **options)

    def _answer(self, computed: Predicted) -> list[Any]:
        options = computed.rows.options
        pooling = options.get("pooling", "none")
        if pooling == "auto":
            pooling = self._trained.defaults.get("pooling", "mean")
        outputs = [pooled(hidden, pooling) for hidden in computed.outputs]
        if dimensions := options.get("dimensions"):
            outputs = [output[..., :dimensions] for output in outputs]
        if options.get("normalize", False):
            outputs = [normalize(output.float(), dim=-1) for output in outputs]
        return [encoded(output, options.get("encoding", "float")) for output in outputs]

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return np.asarray(output[0], dtype=np.float32)


def pooled(hidden: torch.Tensor, pooling: str) -> torch.Tensor:
    """[tokens, dim] -> [dim]; no token is padding. Names and sums are those of sentence-transformers."""
    match pooling:
        case "mean":
            return hidden.float().mean(dim=0)
        case "cls":
            return hidden[0]
        case "max":
            return hidden.amax(dim=0)
        case "mean_sqrt_len_tokens":
            return hidden.float().sum(dim=0) / math.sqrt(len(hidden))
        case "weightedmean":
            weights = torch.arange(1.0, len(hidden) + 1)
            return weights @ hidden.float() / weights.sum()
        case "lasttoken":
            return hidden[-1]
    return hidden[None]
