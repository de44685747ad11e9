"""Video classification: labels for videos."""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import PIL.Image
import transformers

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.staged import Row, StagedPipeline, Tensors
from worker.engine.pipelines.vision.base import UNPREPARED, check_resized
from worker.engine.pipelines.vision.frames import read_frames
from worker.engine.pipelines.vision.pictures import SIDE, landscape


@dataclass(frozen=True, slots=True)
class Options:
    """The parameters of a job, by the step that reads them."""

    indices: list[int]
    """Of the frames that are read."""
    postprocessing: dict[str, Any]


class VideoClassification(StagedPipeline):
    """Returns the `top_k` labels of each video, from its first frames.

    Without torchvision, transformers has no video processors. Image processors read the frames, as in
    transformers' own pipeline.
    """

    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForVideoClassification,
        head="ForVideoClassification",
        processor=transformers.AutoImageProcessor,
    )

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.usual_frames = int(self.model.config.num_frames)
        self.pipeline: Any = transformers.pipeline(
            "video-classification",
            model=self.model,
            image_processor=self.processor,
            device=self.device,
        )

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [clip(self.usual_frames, 0)], {}

    def _trial(self) -> tuple[list[Any], dict[str, Any]] | None:
        return [clip(self.usual_frames, start) for start in (0, 150)], {}

    def _options(self, parameters: dict[str, Any]) -> Options:
        preprocessing, _, postprocessing = self.pipeline._sanitize_parameters(**parameters)
        count = preprocessing.get("num_frames", self.usual_frames)
        last = count * preprocessing.get("frame_sampling_rate", 1) - 1
        return Options(np.linspace(0, last, num=count, dtype=np.int64).tolist(), postprocessing)

    def _rows(self, one: Any, options: Options) -> list[Row]:
        frames = read_frames(one, options.indices, self.limits)
        height, width, _ = frames[0].shape
        check_resized(self.processor, (width, height), self.limits)
        try:
            return [Row(dict(self.processor(frames, return_tensors="pt")))]
        except UNPREPARED as error:
            raise InvalidRequest(f"the video cannot be prepared for the model: {error}") from None

    def _forward(self, tensors: Tensors, options: Options) -> Any:
        try:
            return super()._forward(tensors, options)
        except (RuntimeError, ValueError) as error:
            if len(options.indices) == self.usual_frames:
                raise
            count = len(options.indices)
            raise InvalidRequest(
                f"num_frames: this model reads {self.usual_frames} frames, not {count}: {error}",
                pointer="/parameters/num_frames",
            ) from None

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Options) -> Any:
        return self.pipeline.postprocess(answers[0], **options.postprocessing)


def clip(count: int, start: int) -> bytes:
    """Returns an animated GIF of so many frames that move over a picture, for warm-ups and trials."""
    picture = np.array(landscape())
    step = SIDE // 8 + 1
    frames = [PIL.Image.fromarray(np.roll(picture, start + step * at, axis=1)) for at in range(count)]
    file = io.BytesIO()
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:], duration=100)
    return file.getvalue()
