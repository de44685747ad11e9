"""Text to audio: speech, or music. Its sounds are files.

Such models draw random numbers, even to speak. Each text has a pass of its own that begins with the seed of
the request, so that its sound is the same in any batch, and in a second attempt.
"""

import io
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import soundfile
import torch
import transformers

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.audio.text_to_audio import DEFAULT_SEED
from worker.engine.pipelines.audio.loaders import Tokenizer
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.files import File
from worker.engine.pipelines.interface import ComparablePipeline
from worker.engine.pipelines.staged import Row, StagedPipeline, Tensors
from worker.engine.protocol import CHARS_PER_TOKEN

SAMPLES = ("Good evening.", "The road along the river was closed in winter, so we waited in the house.")


class TextToAudio(StagedPipeline, ComparablePipeline):
    """Returns a WAV file of 16-bit samples for each text, and its sample rate."""

    architecture: ClassVar[Architecture] = Architecture(
        transformers.AutoModelForTextToWaveform,
        head=("VitsModel", "MusicgenForConditionalGeneration"),
        processor=Tokenizer,
    )
    compared_texts = 16
    has_vectors = True

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.pipeline: Any = transformers.pipeline(
            "text-to-audio", model=self.model, tokenizer=self.processor, device=self.device
        )
        if self.pipeline.sampling_rate is None:
            raise ConfigurationError(f"model {spec.name!r}: its files do not contain a sampling rate")
        self._set_info(packs=True)

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        return list(SAMPLES), {"max_new_tokens": 8} if self.model.can_generate() else {}

    def units(self, inputs: list[Any]) -> int:
        """See LoadedPipeline. Each text runs by itself, without padding."""
        return sum(len(str(text)) // CHARS_PER_TOKEN + 1 for text in inputs)

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        samples, _ = soundfile.read(io.BytesIO(output["audio"].content), dtype="float32", always_2d=True)
        return samples.T

    def _options(self, parameters: dict[str, Any]) -> dict[str, Any]:
        generation = sorted(parameters.keys() - {"seed"})
        if generation and not self.model.can_generate():
            raise InvalidRequest(
                f"parameters.{generation[0]}: the model generates no tokens, so it has no {generation[0]}",
                pointer=f"/parameters/{generation[0]}",
            )
        return {"seed": DEFAULT_SEED, **parameters}

    def _rows(self, one: Any, options: dict[str, Any]) -> list[Row]:
        if not isinstance(one, str) or not one.strip():
            raise InvalidRequest("the text is empty" if isinstance(one, str) else "an input must be a text")
        tensors = dict(self.pipeline.preprocess(one))
        if not tensors["input_ids"].numel():
            raise InvalidRequest("the tokenizer finds no tokens in the text")
        return [Row(tensors, units=len(one) // CHARS_PER_TOKEN + 1, alone=True)]

    def _forward(self, tensors: Tensors, options: dict[str, Any]) -> Any:
        generation = {name: value for name, value in options.items() if name != "seed"}
        torch.manual_seed(options["seed"])
        answer = self.pipeline._forward(tensors, forward_params={}, generate_kwargs=generation)
        return {"audio": self.pipeline.postprocess(answer)["audio"]}

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: dict[str, Any]) -> Any:
        rate = self.pipeline.sampling_rate
        samples = np.atleast_1d(answers[0]["audio"])
        if not np.isfinite(samples).all():
            return InvalidRequest("the model's sound has samples that are not numbers")
        return {"audio": File(wav(samples, rate), "audio/wav"), "sampling_rate": rate}


def wav(samples: npt.NDArray[Any], rate: int) -> bytes:
    """Returns a WAV of 16-bit samples from [samples] or [channels, samples]; beyond 1 they are clipped."""
    file = io.BytesIO()
    soundfile.write(file, samples.T, rate, format="WAV", subtype="PCM_16")
    return file.getvalue()
