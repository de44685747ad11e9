"""Image classification: labels for images."""

from collections.abc import Sequence
from typing import Any, ClassVar

import transformers

from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vision.base import VisionPipeline


class ImageClassification(VisionPipeline):
    """Returns the `top_k` labels of each image."""

    task = "image-classification"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForImageClassification,
        head=("ForImageClassification", "ForImageClassificationWithTeacher"),
        processor=transformers.AutoImageProcessor,
    )

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        return self.pipeline.postprocess(answers[0], **options)
