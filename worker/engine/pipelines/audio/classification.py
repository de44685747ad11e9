"""Audio classification: labels for sounds, or scores for the labels that a request names."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import transformers
from transformers.modeling_outputs import SequenceClassifierOutput

from jobs.errors import InvalidRequest
from worker.engine.pipelines import hypothesis
from worker.engine.pipelines.audio.base import AudioPipeline
from worker.engine.pipelines.audio.loaders import Preprocessors
from worker.engine.pipelines.checkpoint import Architecture
from worker.engine.pipelines.interface import ComparablePipeline
from worker.engine.pipelines.staged import Row, Tensors


class AudioClassification(AudioPipeline, ComparablePipeline):
    """Returns the `top_k` labels of each sound."""

    task = "audio-classification"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForAudioClassification,
        head=("ForAudioClassification", "ForSequenceClassification"),
        processor=transformers.AutoFeatureExtractor,
    )
    compared_with: ClassVar[dict[str, Any]] = {"top_k": 1}

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [entry["label"] for entry in output]

    def _options(self, parameters: dict[str, Any]) -> Any:
        return self.pipeline._sanitize_parameters(**{"top_k": 5, **parameters})[2]

    def _rows(self, one: Any, options: Any) -> list[Row]:
        samples = self._decoded(one)
        if hasattr(self.model, "_get_feat_extract_output_lengths") and (
            int(self.model._get_feat_extract_output_lengths(samples.size)) < 1
        ):
            raise InvalidRequest(f"the sound is too short for the model: {samples.size / self.rate:.3f} s")
        try:
            return [Row(dict(self._features(samples)), units=self._cost(samples.size))]
        except ValueError as error:
            raise InvalidRequest(f"the sound cannot be prepared for the model: {error}") from None

    def _forward(self, tensors: Tensors, options: Any) -> Any:
        return SequenceClassifierOutput(logits=self.model(**tensors).logits)

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Any) -> Any:
        return self.pipeline.postprocess(answers[0], **options)


@dataclass(frozen=True, slots=True)
class Labels:
    """The labels of a request, and their texts as tokens."""

    names: list[str]
    tokens: Tensors


class ZeroShotAudioClassification(AudioPipeline):
    """Returns a score for each of `candidate_labels`. The texts of the labels run once for a batch."""

    task = "zero-shot-audio-classification"
    architecture: ClassVar[Architecture] = Architecture(
        transformers.ClapModel, head="ClapModel", processor=Preprocessors
    )
    _cutting = threading.Lock()
    """A sound longer than the model reads is cut at random by the feature extractor, with NumPy's global
    generator. A fixed seed makes the answer the same each time."""

    def _unit_seconds(self) -> float | None:
        return None  # shorter sounds are repeated, longer ones cut

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        sample = super().warm_up()
        assert sample is not None
        return sample[0], {"candidate_labels": ["music", "speech"]}

    def _options(self, parameters: dict[str, Any]) -> Labels:
        names = parameters["candidate_labels"]
        template = hypothesis.checked(parameters.get("hypothesis_template", "This is a sound of {}."))
        texts = [template.format(name) for name in names]
        tokens = self.processor.tokenizer(texts, return_tensors="pt", padding=True, truncation=True)
        return Labels(names, dict(tokens))

    def _rows(self, one: Any, options: Labels) -> list[Row]:
        samples = self._decoded(one)
        if samples.size <= self.extractor.nb_max_samples:
            return [Row(dict(self._features(samples)))]
        with self._cutting:
            np.random.seed(0)
            return [Row(dict(self._features(samples)))]

    def _forward(self, tensors: Tensors, options: Labels) -> Any:
        return {"logits": self.model(**self._on_device(options.tokens), **tensors).logits_per_audio}

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Labels) -> Any:
        return self.pipeline.postprocess({"candidate_labels": options.names, "logits": answers[0]["logits"]})
