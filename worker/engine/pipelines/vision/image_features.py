"""Image feature extraction: images as vectors."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import transformers

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import ComparablePipeline
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vectors import encoded
from worker.engine.pipelines.vision.base import VisionPipeline


class ImageFeatureExtraction(VisionPipeline, ComparablePipeline):
    """Returns the last hidden states: [1][patches][dim], or with `pool` [1][dim]."""

    task = "image-feature-extraction"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModel, unread=("pooler.",), processor=transformers.AutoImageProcessor
    )

    has_vectors = True

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self._has_pooler = not any(name.startswith("pooler.") for name in checkpoint.missing)

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return np.asarray(output[0], dtype=np.float32)

    def _options(self, parameters: dict[str, Any]) -> Any:
        return parameters

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        pool = options.get("pool", False)
        if pool and not (self._has_pooler and "pooler_output" in answers[0]):
            raise InvalidRequest("pool: this model has no pooled output", pointer="/parameters/pool")
        vectors = self.pipeline.postprocess(answers[0], pool=pool, return_tensors=True)
        return encoded(vectors, options.get("encoding", "float"))
