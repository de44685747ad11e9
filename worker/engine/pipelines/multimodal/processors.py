"""Loads an image processor and a tokenizer, for the tasks whose pipelines in transformers load both."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Self

import transformers
from transformers import processing_utils
from transformers.models.auto import video_processing_auto

from worker.engine.pipelines.checkpoint import first_position


@dataclass(frozen=True)
class ImagesAndTexts:
    """Both of a checkpoint; loaded by `open_checkpoint` like a processor of transformers."""

    tokenizer: Any
    image_processor: Any

    @classmethod
    def from_pretrained(cls, where: str, **options: Any) -> Self:
        """Raises what transformers raises."""
        return cls(
            transformers.AutoTokenizer.from_pretrained(where, **options),
            transformers.AutoImageProcessor.from_pretrained(where, **options),  # type: ignore[no-untyped-call]
        )


class PagesAndTexts(ImagesAndTexts):
    """The image processor is None for a model that reads only words and boxes."""

    @classmethod
    def from_pretrained(cls, where: str, **options: Any) -> Self:
        """Raises what transformers raises."""
        config = transformers.AutoConfig.from_pretrained(where, **options)
        if config.model_type != "layoutlm":
            return super().from_pretrained(where, **options)
        return cls(transformers.AutoTokenizer.from_pretrained(where, **options), None)


def limit_length(tokenizer: Any, model: Any) -> None:
    """Makes the tokenizer truncate to what the model can read, if its files do not say so."""
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int):
        tokenizer.model_max_length = min(tokenizer.model_max_length, positions - first_position(model))


class ImagesOfChats:
    """Loads the processor of a model of images and texts, of one that also reads videos without this part.

    transformers reads videos only with torchvision, which is not installed.
    """

    @staticmethod
    def from_pretrained(where: str, **options: Any) -> Any:
        """Raises what transformers raises."""
        with _without_videos():
            return transformers.AutoProcessor.from_pretrained(where, **options)  # type: ignore[no-untyped-call]


class _NoVideos(transformers.ImageProcessingMixin):
    """In place of a video processor."""

    num_frames = fps = None
    """SmolVLM reads these for each chat."""

    @classmethod
    def from_pretrained(cls, where: str, **options: Any) -> Any:  # type: ignore[override]
        return cls()


@contextlib.contextmanager
def _without_videos() -> Iterator[None]:
    """Changes where transformers finds the class that loads a video processor, and what it must be."""
    bases = processing_utils.MODALITY_TO_BASE_CLASS_MAPPING
    auto: Any = video_processing_auto
    before = auto.AutoVideoProcessor, bases["video_processor"]
    auto.AutoVideoProcessor, bases["video_processor"] = _NoVideos, "ImageProcessingMixin"
    try:
        yield
    finally:
        auto.AutoVideoProcessor, bases["video_processor"] = before
