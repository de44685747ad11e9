"""Object detection: labels and boxes of the objects in images."""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
import transformers

from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vision.base import VisionPipeline


class ObjectDetection(VisionPipeline):
    """Returns the objects with a score above `threshold`."""

    task = "object-detection"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForObjectDetection,
        head="ForObjectDetection",
        processor=transformers.AutoImageProcessor,
    )

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        answer = answers[0]
        answer["target_size"] = torch.tensor([rows[0].about], dtype=torch.int32)
        return self.pipeline.postprocess(answer, **options)
