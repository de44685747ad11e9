"""Loads an image processor and a tokenizer, for the tasks whose pipelines in transformers load both."""

from dataclasses import dataclass
from typing import Any, Self

import transformers

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
