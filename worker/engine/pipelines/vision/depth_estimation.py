"""Depth estimation: how far away each pixel of an image is."""

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import transformers

from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.files import File
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vision.base import VisionPipeline
from worker.engine.pipelines.vision.pictures import picture


class DepthEstimation(VisionPipeline):
    """Returns transformers' grey picture of the depth, and the depths of its black and its white."""

    task = "depth-estimation"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForDepthEstimation,
        head="ForDepthEstimation",
        processor=transformers.AutoImageProcessor,
    )

    def _options(self, parameters: dict[str, Any]) -> Any:
        return parameters

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        answer = answers[0]
        answer["target_size"] = rows[0].about
        with np.errstate(invalid="ignore"):  # of an image with one depth: transformers divides 0 by 0
            found = self.pipeline.postprocess(answer)
        depth = found["predicted_depth"].numpy()
        output = {
            "depth": picture(found["depth"]),
            "minimum": float(depth.min()),
            "maximum": float(depth.max()),
        }
        if options.get("return_predicted_depth"):
            numbers = File(np.ascontiguousarray(depth, "<f4").tobytes(), "application/octet-stream")
            output |= {"predicted_depth": numbers, "height": depth.shape[0], "width": depth.shape[1]}
        return output
