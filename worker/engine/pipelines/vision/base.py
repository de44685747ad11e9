"""VisionPipeline: tasks whose input is one image."""

from typing import Any

import transformers

from jobs.errors import InvalidRequest
from jobs.media import encoded
from jobs.models import ModelSpec
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.staged import Row, StagedPipeline
from worker.engine.pipelines.vision.decoding import decode


class VisionPipeline(StagedPipeline):
    """Prepares each image with the model's image processor, like `transformers.pipeline`."""

    task: str
    """The transformers task whose postprocessing it uses."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.pipeline: Any = transformers.pipeline(
            self.task,  # type: ignore[call-overload]
            model=self.model,
            image_processor=self.processor,
            device=self.device,
        )

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [encoded.decode(LANDSCAPE)], {}

    def _rows(self, one: Any, options: Any) -> list[Row]:
        image = decode(one, self.limits)
        try:
            return [Row(dict(self.processor(images=image, return_tensors="pt")))]
        except ValueError as error:  # for example for an image of a few pixels
            raise InvalidRequest(f"the image cannot be prepared for the model: {error}") from None
