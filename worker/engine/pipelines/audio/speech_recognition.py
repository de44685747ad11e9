"""Automatic speech recognition: models with CTC, Whisper, and others that generate text.

Rows are windows of a recording, cut and joined by transformers' pipeline. Whisper's windows have one shape,
so they share a pass. A recording that it reads by itself from start to end (longer than a window, without
`chunk_length_s`) runs alone, as do words with times, whose search depends on the other rows of a pass.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from transformers.pipelines import automatic_speech_recognition

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from worker.engine.pipelines.audio import padding
from worker.engine.pipelines.audio.base import AudioPipeline
from worker.engine.pipelines.audio.loaders import Preprocessors, SpeechModel
from worker.engine.pipelines.audio.speech_options import Options, SpeechOptions, check_windows
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.encoding import plain
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.staged import Batch, Pass, Row, Tensors

rescale_stride: Any = automatic_speech_recognition.rescale_stride


WARM_UP_TOKENS = 24
"""As many as some ten words have; with fewer, batches would seem to gain less than they do."""


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a recording."""

    stride: tuple[int, int, int] | None
    """Its samples, and how many of them at its start and end belong to its neighbours."""
    frames: int | None
    """The frames that the model computes for it; those after them belong to padding."""


class SpeechRecognition(AudioPipeline):
    """Returns the text of each recording."""

    task = "automatic-speech-recognition"
    architecture: ClassVar[Architecture] = Architecture(
        SpeechModel,
        head=("ForCTC", "ForConditionalGeneration", "ForSpeechToText", "SpeechEncoderDecoderModel"),
        processor=Preprocessors,
    )

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self._steps: list[int] = []
        self.is_whisper = self.pipeline.type == "seq2seq_whisper"
        self.generates = self.pipeline.type != "ctc"
        self.parameters = SpeechOptions(self.pipeline)
        self.pads = not self.generates and self._find_pads()
        if self.pads:
            self._set_info(packs=False)
        if self.generates:
            self.new_tokens = self.parameters.most_tokens
        if self.is_whisper:  # other models may keep positions between passes
            self._start_lanes()

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """See LoadedPipeline."""
        sample = super().warm_up()
        assert sample is not None
        inputs = sample[0][-1:] if self.is_whisper else sample[0]
        return inputs, {"max_new_tokens": WARM_UP_TOKENS} if self.generates else {}

    def compute(self, prepared: Prepared) -> tuple[Batch, list[Any]]:
        """See LoadedPipeline."""
        self._steps = []
        computed = super().compute(prepared)
        self.steps = sum(self._steps)
        return computed

    def _runs_in_lanes(self, options: Options) -> bool:
        return not options.alone  # the search for the times of words changes the model's configuration

    def _options(self, parameters: dict[str, Any]) -> Options:
        return self.parameters.read(parameters)

    def _rows(self, one: Any, options: Options) -> list[Row]:
        samples = self._decoded(one)
        if not self.generates and self._frames(samples.size) == 0:
            raise InvalidRequest(f"the sound is too short for the model: {samples.size / self.rate:.3f} s")
        check_windows(samples.size, self.rate, options.preprocess)
        given = {"raw": samples, "sampling_rate": self.rate}
        try:
            parts = list(self.pipeline.preprocess(given, **options.preprocess))
        except ValueError as error:
            raise InvalidRequest(f"the sound cannot be prepared for the model: {error}") from None
        return [self._row(part, samples, options) for part in parts]

    def _row(self, part: dict[str, Any], samples: np.ndarray, options: Options) -> Row:
        tensors = {name: value for name, value in part.items() if isinstance(value, torch.Tensor)}
        stride = part.get("stride")
        length = stride[0] if stride else len(samples)
        longer = self.is_whisper and not stride and len(samples) > self.extractor.n_samples
        return Row(
            tensors,
            Window(stride, None if self.generates else self._frames(length)),
            self._cost(length),
            alone=options.alone or longer,
        )

    def _forward(self, tensors: Tensors, options: Options) -> Any:
        forward = dict(options.forward)
        features = tensors[self.model.main_input_name]
        if self.is_whisper and features.shape[-1] > self.extractor.nb_max_frames:
            forward.setdefault("return_timestamps", True)  # transformers refuses it without
        attention = self.model.config._attn_implementation
        try:
            output = self.pipeline._forward({**tensors, "is_last": True}, **forward)
        finally:  # Whisper changes it for times of words, and would keep the slower one
            self.model.config._attn_implementation = attention
        del output["is_last"]
        if self.generates:
            self._steps.append(int(output["tokens"].shape[-1]))
        return dict(output)

    def _output(self, rows: Sequence[Row], answers: Sequence[Any], options: Options) -> Any:
        parts = [self._part(row.about, answer) for row, answer in zip(rows, answers, strict=True)]
        return plain(self.pipeline.postprocess(parts, **options.postprocess))  # times may be NumPy's

    def _part(self, window: Window, answer: Any) -> dict[str, Any]:
        """Returns the model's answer for a window as if it had been alone in its pass."""
        part = dict(answer)
        if window.frames is not None:
            part["tokens"] = part["tokens"][:, : window.frames]
        if window.stride is not None:
            ratio = 1 / self.pipeline._align_to
            part["stride"] = window.stride if self.generates else rescale_stride([window.stride], ratio)[0]
        return part

    def _passes(self, rows: Sequence[Row]) -> list[Pass]:
        if not self.pads:
            return super()._passes(rows)
        return padding.padded(rows, self.spec.max_batch_items, self.budget)

    def _unit_seconds(self) -> float | None:
        if self.pipeline.type == "seq2seq_whisper":
            return float(self.extractor.chunk_length)
        return super()._unit_seconds()

    def _features(self, samples: Any) -> Any:
        """As in the pipeline: with a mask, whatever the model's files say."""
        return self.extractor(
            samples, sampling_rate=self.rate, return_tensors="pt", return_attention_mask=True
        )

    def _frames(self, samples: int) -> int | None:
        """The frames that a CTC model computes for so many samples; None if unknown."""
        if not hasattr(self.model, "_get_feat_extract_output_lengths"):
            return None
        return max(0, int(self.model._get_feat_extract_output_lengths(samples)))

    def _find_pads(self) -> bool:
        """Whether rows of different lengths may share a pass; a trial run decides.

        Models whose first layer normalizes over the whole length (wav2vec2 with group norm) do not ignore
        what the mask hides.
        """
        if self.model.main_input_name != "input_values" or self._frames(self.rate) is None:
            return False
        noise = np.random.default_rng(5).standard_normal(2 * self.rate).astype(np.float32)
        rows = [dict(self._features(noise[: round(seconds * self.rate)])) for seconds in (0.7, 1.9)]
        with torch.inference_mode():
            return padding.is_harmless(
                lambda tensors: self.model(**self._on_device(tensors)).logits.float().cpu(),
                rows,
                1e-4 if self.spec.dtype == "float32" else 0.02,
            )
