"""AudioPipeline: tasks whose input is one sound."""

import io
import math
from collections.abc import Hashable
from typing import Any, ClassVar

import numpy as np
import soundfile
import transformers

from jobs.models import ModelSpec
from worker.engine.pipelines.audio.decoding import Samples, decode
from worker.engine.pipelines.checkpoint import Checkpoint
from worker.engine.pipelines.staged import Row, StagedPipeline

UNIT_SECONDS = 0.1
"""The seconds of sound that count as one, for a model that reads sounds as long as they are."""


class AudioPipeline(StagedPipeline):
    """Decodes each sound to the model's sample rate; transformers' pipeline does the rest.

    The pipeline gets samples, never bytes: for these it would start ffmpeg.
    """

    task: ClassVar[str]
    """The transformers task whose pre- and postprocessing it uses."""
    warm_up_seconds: ClassVar[tuple[float, ...]] = (1.0, 4.0, 12.0)
    """Lengths of the sounds of the warm-up, of a model that reads sounds as long as they are."""

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.extractor: Any = getattr(self.processor, "feature_extractor", self.processor)
        self.rate = int(self.extractor.sampling_rate)
        self.pipeline: Any = transformers.pipeline(
            self.task,  # type: ignore[call-overload]
            model=self.model,
            feature_extractor=self.extractor,
            tokenizer=getattr(self.processor, "tokenizer", None),
            device=self.device,
        )
        self._set_info(packs=True, unit_seconds=self._unit_seconds())

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        lengths = self.warm_up_seconds if self.info.unit_seconds else self.warm_up_seconds[-1:]
        return [noise(seconds) for seconds in lengths], {}

    def units(self, inputs: list[Any]) -> int:
        """See LoadedPipeline. As `worker/batching/lengths.py` counts."""
        kind, unit = self.spec.definition.input, self.info.unit_seconds
        return sum(kind.weigh(one, unit) for one in inputs)

    def _unit_seconds(self) -> float | None:
        """The seconds of sound that count as one; None if all sounds cost the same, whatever their length."""
        return None if self._shapes(1.0) == self._shapes(2.0) else UNIT_SECONDS

    def _shapes(self, seconds: float) -> Hashable:
        """The shapes of the model's inputs for a sound of so many seconds."""
        return Row(dict(self._features(np.zeros(round(seconds * self.rate), np.float32)))).shape

    def _features(self, samples: Samples) -> Any:
        """Returns the feature extractor's tensors, [1, ...] each."""
        return self.extractor(samples, sampling_rate=self.rate, return_tensors="pt")

    def _decoded(self, one: Any) -> Samples:
        return decode(one, self.rate, self.limits)

    def _cost(self, samples: int) -> int:
        """Returns what a row of so many samples costs, as `Audio.weigh` counts."""
        unit = self.info.unit_seconds
        return max(1, math.ceil(samples / self.rate / unit)) if unit else 1


def noise(seconds: float) -> bytes:
    """Returns a WAV of quiet noise, which no model takes for silence."""
    samples = 0.1 * np.random.default_rng(5).standard_normal(round(seconds * 16_000))
    file = io.BytesIO()
    soundfile.write(file, samples, 16_000, format="WAV")
    return file.getvalue()
