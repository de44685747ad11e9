"""VisionPipeline: tasks whose input is one image."""

from collections.abc import Mapping
from typing import Any, ClassVar

import PIL.Image
import PIL.ImageOps
import transformers

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.inputs import InputLimits
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.staged import Row, StagedPipeline, Tensors
from worker.engine.pipelines.vision.decoding import decode
from worker.engine.pipelines.vision.pictures import landscape, png
from worker.engine.pipelines.vision.value_table import value_table

UNPREPARED = (ValueError, TypeError, ArithmeticError, LookupError)
"""What image processors raise for an image that they cannot resize, for example one of a few pixels."""


class VisionPipeline(StagedPipeline):
    """Prepares each image with the model's image processor, like `transformers.pipeline`.

    Most processors resize images to one size, and then every image costs 1. If one keeps the aspect ratio, an
    image costs by its pixels after resizing, relative to those of the square image of the warm-up.
    """

    task: ClassVar[str]
    """The transformers task whose postprocessing it uses."""
    trial_parameters: ClassVar[dict[str, Any]] = {}
    has_lanes = True

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.pipeline: Any = transformers.pipeline(
            self.task,  # type: ignore[call-overload]
            model=self.model,
            image_processor=self.processor,
            device=self.device,
        )
        self._usual_pixels: int | None = None
        self._table = value_table(self.processor, landscape())

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [png(landscape())], {}

    def _options(self, parameters: dict[str, Any]) -> Any:
        """Returns the parameters of `pipeline.postprocess`."""
        return self.pipeline._sanitize_parameters(**parameters)[2]

    def _rows(self, one: Any, options: Any) -> list[Row]:
        image = self._image(one)
        return [self._row(self._tensors(image), (image.height, image.width))]

    def _image(self, one: Any) -> PIL.Image.Image:
        """Returns the pixels. Raises InvalidRequest, also if the image would be too large after resizing."""
        return decode_for(self.processor, one, self.limits)

    def _tensors(self, image: Any) -> Tensors:
        """Runs the image processor on one image, or on what the model reads together."""
        try:
            if self._table is not None and self._table.fits(image):
                return self._table.tensors(image)
            return dict(self.processor(images=image, return_tensors="pt"))
        except UNPREPARED as error:
            raise InvalidRequest(f"the image cannot be prepared for the model: {error}") from None

    def _row(self, tensors: Tensors, about: Any) -> Row:
        pixels = tensors[self.model.main_input_name].numel()
        return Row(tensors, about, units=pixels / self._usual_pixels if self._usual_pixels else 1)

    def _trial(self) -> tuple[list[Any], dict[str, Any]]:
        image = landscape()
        images = image, PIL.ImageOps.invert(image.transpose(PIL.Image.Transpose.ROTATE_90))
        return [png(each) for each in images], dict(self.trial_parameters)

    def _try_out(self) -> None:
        super()._try_out()
        inputs, parameters = self._trial()
        row = self._rows(inputs[0], self._options(parameters))[0]
        self._usual_pixels = row.tensors[self.model.main_input_name].numel()


def decode_for(processor: Any, data: bytes, limits: InputLimits) -> PIL.Image.Image:
    """Decodes an image that this image processor will resize.

    Raises InvalidRequest, also if the image would be too large after resizing.
    """
    image = decode(data, limits)
    check_resized(processor, image.size, limits)
    return image


def check_resized(processor: Any, size: tuple[int, int], limits: InputLimits) -> None:
    """Raises InvalidRequest if an image of this width and height would be too large after resizing."""
    pixels = resized_pixels(size, getattr(processor, "size", None))
    if pixels > limits.max_pixels:
        raise InvalidRequest(
            f"the image of {size[0]} x {size[1]} pixels is too narrow: the model needs it"
            f" resized to {pixels:,} pixels, more than this model's limit of {limits.max_pixels:,}"
            " (max_pixels in models.toml)"
        )


def resized_pixels(size: tuple[int, int], target: Any) -> int:
    """Returns the pixels of an image whose shorter edge is resized, whatever becomes of its longer edge.

    `target` is the image processor's size. Other processors limit the longer edge, or do not enlarge.
    """
    width, height = size
    shortest = target.get("shortest_edge") if hasattr(target, "get") or isinstance(target, Mapping) else None
    if not shortest or target.get("longest_edge"):
        return 0
    scale: float = shortest / min(width, height)
    return round(width * scale) * round(height * scale)
