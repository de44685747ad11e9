"""What transformers loads for a checkpoint: the class of its model, its feature extractor and its tokenizer.

Each class has the `from_pretrained` that `worker/engine/pipelines/checkpoint.py` calls.
"""

from dataclasses import dataclass
from typing import Any, Self

import transformers


@dataclass(frozen=True)
class Preprocessors:
    """A feature extractor and a tokenizer, in files of their own, as `transformers.pipeline` loads them."""

    feature_extractor: Any
    tokenizer: Any

    @classmethod
    def from_pretrained(cls, where: str, **options: Any) -> Self:
        """Loads both. Raises what transformers raises."""
        extractor: Any = transformers.AutoFeatureExtractor
        return cls(
            extractor.from_pretrained(where, **options),
            transformers.AutoTokenizer.from_pretrained(where, **options),
        )


class Tokenizer:
    """A tokenizer whose texts are never truncated."""

    @classmethod
    def from_pretrained(cls, where: str, **options: Any) -> Any:
        """Loads it. Raises what transformers raises."""
        return transformers.AutoTokenizer.from_pretrained(where, **options)


class SpeechModel:
    """A model that recognises speech: with CTC, or one that generates text."""

    @classmethod
    def from_pretrained(cls, where: str, **options: Any) -> Any:
        """Loads it with the class that its config.json names."""
        files = ("revision", "trust_remote_code", "local_files_only")
        config = transformers.AutoConfig.from_pretrained(where, **{name: options[name] for name in files})
        generates = type(config) in transformers.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING
        if generates and str((config.architectures or [""])[0]).endswith("ForCTC"):
            generates = False
        kind: Any = transformers.AutoModelForSpeechSeq2Seq if generates else transformers.AutoModelForCTC
        return kind.from_pretrained(where, **options)
