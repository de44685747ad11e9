"""Zero-shot tasks on images: the request names the labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import PIL.Image
import torch
import transformers

from jobs.errors import InvalidRequest
from jobs.media import encoded
from jobs.models import ModelSpec
from jobs.tasks.examples import LANDSCAPE
from worker.engine.pipelines import hypothesis
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.multimodal.processors import ImagesAndTexts
from worker.engine.pipelines.staged import Row, StagedPipeline, Tensors
from worker.engine.pipelines.vision.base import decode_for

_POSTPROCESSING = ("threshold", "top_k")


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a batch, the texts that the model reads for them, and what `postprocess` needs."""

    names: list[str]
    texts: list[Tensors]
    postprocessing: dict[str, Any]


class ZeroShotPipeline(StagedPipeline):
    """Shared: both processors, and the postprocessing of `transformers.pipeline`."""

    task: str
    """The transformers task whose postprocessing it uses."""
    warm_up_parameters: ClassVar[dict[str, Any]] = {"candidate_labels": ["a photo"]}

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.tokenizer = checkpoint.processor.tokenizer
        self.pipeline: Any = transformers.pipeline(
            self.task,  # type: ignore[call-overload]
            model=self.model,
            tokenizer=self.tokenizer,
            image_processor=checkpoint.processor.image_processor,
            device=self.device,
        )

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return [encoded.decode(LANDSCAPE)], dict(self.warm_up_parameters)

    def _image(self, one: Any) -> PIL.Image.Image:
        return decode_for(self.pipeline.image_processor, one, self.limits)

    def _pixels(self, image: Any) -> Tensors:
        try:
            return dict(self.pipeline.image_processor(images=[image], return_tensors="pt"))
        except ValueError as error:  # for example for an image of a few pixels
            raise InvalidRequest(f"the image cannot be prepared for the model: {error}") from None

    def _text(self, text: str | list[str], **options: Any) -> Tensors:
        tensors: Tensors = dict(self.tokenizer(text, return_tensors="pt", **options))
        longest = self._max_tokens()
        if longest is not None and tensors["input_ids"].shape[1] > longest:
            raise InvalidRequest(
                f"a label has {tensors['input_ids'].shape[1]} tokens, more than the model's {longest}",
                pointer="/parameters/candidate_labels",
            )
        return tensors

    def _max_tokens(self) -> int | None:
        text_config = getattr(self.model.config, "text_config", None)
        positions = getattr(text_config, "max_position_embeddings", None)
        return positions if isinstance(positions, int) else None


class ZeroShotImageClassification(ZeroShotPipeline):
    """Returns a score for each label. All images of a pass share one reading of the labels."""

    task = "zero-shot-image-classification"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForZeroShotImageClassification, processor=ImagesAndTexts
    )

    def _options(self, parameters: dict[str, Any]) -> Labels:
        names = parameters["candidate_labels"]
        template = hypothesis.checked(parameters.get("hypothesis_template", "This is a photo of {}."))
        # as the pipeline's `preprocess`
        fixed = "siglip" in self.model.config.model_type
        lengths = (
            {"padding": "max_length", "max_length": 64, "truncation": True} if fixed else {"padding": True}
        )
        return Labels(names, [self._text([template.format(name) for name in names], **lengths)], {})

    def _rows(self, one: Any, options: Labels) -> list[Row]:
        return [Row(self._pixels(self._image(one)))]

    def _forward(self, tensors: Tensors, options: Labels) -> Any:
        return {"logits": self.model(**self._on_device(options.texts[0]), **tensors).logits_per_image}

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Labels) -> Any:
        return self.pipeline.postprocess({"candidate_labels": options.names, **answers[0]})


class ZeroShotObjectDetection(ZeroShotPipeline):
    """Returns boxes for each label, found without regard to the other labels, like `transformers.pipeline`.

    An OWL-ViT sees an image once, and compares what it sees with all labels. Other models see it once for
    each label.
    """

    task = "zero-shot-object-detection"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForZeroShotObjectDetection, head="ForObjectDetection", processor=ImagesAndTexts
    )

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.sees_once = self.model.config.model_type in ("owlvit", "owlv2")

    def _options(self, parameters: dict[str, Any]) -> Labels:
        names = parameters["candidate_labels"]
        texts = [self._text(names, padding=True)] if self.sees_once else [self._text(name) for name in names]
        postprocessing = {name: parameters[name] for name in _POSTPROCESSING if name in parameters}
        return Labels(names, texts, postprocessing)

    def _rows(self, one: Any, options: Labels) -> list[Row]:
        image = self._image(one)
        pixels = self._pixels(image)
        size = torch.tensor([[image.height, image.width]], dtype=torch.int32)
        if self.sees_once:
            return [Row(pixels, size)]
        return [Row({**text, **pixels}, size) for text in options.texts]

    def _forward(self, tensors: Tensors, options: Labels) -> Any:
        if self.sees_once:
            count = len(tensors["pixel_values"])
            texts = {name: text.repeat(count, 1) for name, text in options.texts[0].items()}
            tensors = {**tensors, **self._on_device(texts)}
        found = self.model(**tensors)
        return {"logits": found.logits, "pred_boxes": found.pred_boxes}

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Labels) -> Any:
        if self.sees_once:
            [answer], count = answers, len(options.names)
            answers = [{**answer, "logits": answer["logits"][..., i : i + 1]} for i in range(count)]
            rows = [*rows] * count
        found = [
            {"target_size": row.about, "candidate_label": name, "is_last": False, **answer}
            for row, name, answer in zip(rows, options.names, answers, strict=True)
        ]
        return self.pipeline.postprocess(found, **options.postprocessing)
