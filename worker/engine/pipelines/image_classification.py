"""Image classification: labels for images."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
import transformers

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.image_classification import LANDSCAPE
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint, open_checkpoint
from worker.engine.pipelines.image_decoding import decode
from worker.engine.pipelines.interface import LoadedPipeline, PipelineInfo, Prepared


@dataclass(frozen=True)
class Images:
    """One micro-batch: images of one shape share a forward pass."""

    count: int
    passes: list[tuple[list[int], dict[str, torch.Tensor]]]
    """For each pass, the images' indices and the model's inputs, [images, ...] each."""
    refused: dict[int, InvalidRequest]
    """Why an image cannot be run, by its index."""
    options: dict[str, Any]


class ImageClassification(LoadedPipeline):
    """Returns the `top_k` labels of each image like `transformers.pipeline`. An image costs 1."""

    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForImageClassification,
        head=("ForImageClassification", "ForImageClassificationWithTeacher"),
        processor=transformers.AutoImageProcessor,
    )

    @classmethod
    def open(cls, spec: ModelSpec, source: Path | None) -> Self:
        """See PipelineClass."""
        return cls(spec, open_checkpoint(spec, source, cls.architecture))

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        self.model, self.processor, self.device = checkpoint.model, checkpoint.processor, checkpoint.device
        self.pipeline: Any = transformers.pipeline(
            "image-classification",
            model=self.model,
            image_processor=self.processor,
            device=checkpoint.device,
        )
        self.info = PipelineInfo(str(checkpoint.device), spec.dtype, max_length=None, tokenizer_file=None)

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """See LoadedPipeline. An image that cannot be read fails alone; the others do not run again."""
        refused: dict[int, InvalidRequest] = {}
        alike: dict[Any, list[tuple[int, dict[str, torch.Tensor]]]] = {}
        for index, one in enumerate(inputs):
            try:
                tensors = self._tensors(one)
            except InvalidRequest as error:
                refused[index] = error
                continue
            shapes = tuple((name, tensor.shape) for name, tensor in tensors.items())
            alike.setdefault(shapes, []).append((index, tensors))
        passes = [
            ([index for index, _ in images], _joined([tensors for _, tensors in images]))
            for images in alike.values()
        ]
        _, _, options = self.pipeline._sanitize_parameters(**parameters)
        return Prepared(Images(len(inputs), passes, refused, options))

    def compute(self, prepared: Prepared) -> tuple[Images, list[torch.Tensor]]:
        """See LoadedPipeline."""
        with torch.inference_mode():
            return prepared.work, [self._logits(tensors) for _, tensors in prepared.work.passes]

    def answer(self, computed: tuple[Images, list[torch.Tensor]]) -> list[Any]:
        """See LoadedPipeline."""
        work, parts = computed
        outputs: dict[int, Any] = dict(work.refused)
        for (numbers, _), logits in zip(work.passes, parts, strict=True):
            for index, row in zip(numbers, logits, strict=True):
                outputs[index] = self.pipeline.postprocess({"logits": row[None]}, **work.options)
        return [outputs[index] for index in range(work.count)]

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [LANDSCAPE], {}

    def units(self, inputs: list[Any]) -> int:
        """See LoadedPipeline."""
        return len(inputs)

    def _tensors(self, one: Any) -> dict[str, torch.Tensor]:
        """The model's inputs for one image, [1, ...] each. Raises InvalidRequest."""
        if not isinstance(one, str):
            raise InvalidRequest(f"an input must be an image as base64, not {type(one).__name__}")
        image = decode(one)
        try:
            return dict(self.processor(images=image, return_tensors="pt"))
        except ValueError as error:  # for example for an image of a few pixels
            raise InvalidRequest(f"the image cannot be prepared for the model: {error}") from None

    def _logits(self, tensors: dict[str, torch.Tensor]) -> torch.Tensor:
        inputs = {
            name: tensor.to(self.device, self.model.dtype if tensor.is_floating_point() else tensor.dtype)
            for name, tensor in tensors.items()
        }
        logits: torch.Tensor = self.model(**inputs).logits
        return logits.cpu()


def _joined(images: list[dict[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {name: torch.cat([one[name] for one in images]) for name in images[0]}
