"""Keypoint matching: the points that two images have in common."""

from collections.abc import Sequence
from typing import Any, ClassVar

import transformers

from jobs.errors import InvalidRequest
from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.staged import Row
from worker.engine.pipelines.vision.base import VisionPipeline


class KeypointMatching(VisionPipeline):
    """Returns the matches with a score above `threshold`, the best first.

    The points are in pixels of each image. In transformers 5.23 they are so only for square images, because
    its pipeline passes width and height in the wrong order to its own postprocessing.
    """

    task = "keypoint-matching"
    has_lanes = False
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForKeypointMatching,
        head="ForKeypointMatching",
        processor=transformers.AutoImageProcessor,
    )

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        inputs, parameters = self._trial()
        return inputs[:1], parameters

    def _rows(self, one: Any, options: Any) -> list[Row]:
        if not isinstance(one, dict) or not isinstance(one.get("images"), list) or len(one["images"]) != 2:
            raise InvalidRequest('an input must be {"images": [..., ...]} with two images')
        images = [self._image(each) for each in one["images"]]
        return [self._row(self._tensors(images), [(image.height, image.width) for image in images])]

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        return self.pipeline.postprocess(
            {"model_outputs": answers[0], "target_sizes": [rows[0].about]}, **options
        )

    def _trial(self) -> tuple[list[Any], dict[str, Any]]:
        """Some models find another number of points in each image, and pad to the most in a pass."""
        images, parameters = super()._trial()
        first, second = images
        return [{"images": [first, second]}, {"images": [second, second]}], parameters
