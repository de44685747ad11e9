"""Image classification: labels for images."""

from collections.abc import Sequence
from typing import Any, ClassVar

import transformers

from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.interface import ComparablePipeline
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vision.base import VisionPipeline


class ImageClassification(VisionPipeline, ComparablePipeline):
    """Returns the `top_k` labels of each image."""

    task = "image-classification"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForImageClassification,
        head=("ForImageClassification", "ForImageClassificationWithTeacher"),
        processor=transformers.AutoImageProcessor,
    )
    compared_with: ClassVar[dict[str, Any]] = {"top_k": 1}

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [entry["label"] for entry in output]

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        return self.pipeline.postprocess(answers[0], **options)
