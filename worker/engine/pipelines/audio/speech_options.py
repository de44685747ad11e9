"""SpeechOptions: checks the parameters of speech recognition against what the model can do."""

from dataclasses import dataclass
from typing import Any

from transformers.models.whisper.tokenization_whisper import LANGUAGES, TO_LANGUAGE_CODE

from jobs.errors import InvalidRequest
from jobs.tasks.audio.speech_recognition import GENERATION, SPOKEN

MOST_OVERLAP = 0.9
"""The strides' largest share of a chunk; more would multiply the work."""

MAX_WINDOWS = 1_000
"""Of a recording. Whisper's features of each take a megabyte, however short the window is."""

WHISPER_START = 4
"""Tokens with which Whisper's answers begin."""


@dataclass(frozen=True)
class Options:
    """The parameters of a batch, for each step of transformers' pipeline."""

    preprocess: dict[str, Any]
    forward: dict[str, Any]
    postprocess: dict[str, Any]
    alone: bool
    """Whether the model's answer for a row depends on the other rows of its pass."""


class SpeechOptions:
    """Reads the parameters for one model."""

    def __init__(self, pipeline: Any) -> None:
        self.pipeline = pipeline
        self.config: Any = getattr(pipeline.model, "generation_config", None)
        self.is_whisper = pipeline.type == "seq2seq_whisper"
        self.generates = pipeline.type != "ctc"
        if self.is_whisper:
            self.most_tokens = int(pipeline.model.config.max_target_positions) - WHISPER_START
        else:
            self.most_tokens = int(getattr(self.config, "max_new_tokens", None) or 256)

    def read(self, parameters: dict[str, Any]) -> Options:
        """Returns the options. Raises InvalidRequest for a parameter that the model does not have."""
        # to transformers, no times are None
        given = {name: value for name, value in parameters.items() if value is not False}
        self._check_generation(given)
        self._check_chunks(given)
        try:
            found = self.pipeline._sanitize_parameters(**given, ignore_warning=True)
        except ValueError as error:
            raise InvalidRequest(str(error), pointer="/parameters/return_timestamps") from None
        kept = (
            self.pipeline._preprocess_params,
            self.pipeline._forward_params,
            self.pipeline._postprocess_params,
        )
        preprocess, forward, postprocess = ({**old, **new} for old, new in zip(kept, found, strict=True))
        words = forward.get("return_timestamps") == "word"
        alone = self.is_whisper and (words or bool(given.get("return_language")))
        return Options(preprocess, forward, postprocess, alone)

    def _check_generation(self, given: dict[str, Any]) -> None:
        unknown = [name for name in GENERATION if name in given]
        if unknown and not self.generates:
            _refuse(unknown[0], f"the model generates no text, so it has no {unknown[0]}")
        spoken = [name for name in SPOKEN if name in given]
        if spoken and not (self.is_whisper and getattr(self.config, "lang_to_id", None)):
            _refuse(spoken[0], f"the model knows one language, so it has no {spoken[0]}")
        if "language" in given:
            self._check_language(given["language"])
        if self.is_whisper and given.get("max_new_tokens", 0) > self.most_tokens:
            _refuse("max_new_tokens", f"the model generates at most {self.most_tokens} tokens")
        times = given.get("return_timestamps")
        if self.is_whisper and times and not hasattr(self.config, "no_timestamps_token_id"):
            _refuse("return_timestamps", "the model has no timestamps: its generation_config.json lacks them")
        if self.is_whisper and times == "word" and not getattr(self.config, "alignment_heads", None):
            _refuse("return_timestamps", "the model has no times of words: it has no alignment_heads")

    def _check_language(self, language: str) -> None:
        name = language.lower()
        code = name if name in LANGUAGES else TO_LANGUAGE_CODE.get(name, name.strip("<|>"))
        if f"<|{code}|>" not in self.config.lang_to_id:
            _refuse("language", f"the model does not know the language {language!r}")

    def _check_chunks(self, given: dict[str, Any]) -> None:
        stride = given.get("stride_length_s")
        chunk = given.get("chunk_length_s")
        if chunk is None:
            if stride is not None:
                _refuse("stride_length_s", "stride_length_s needs chunk_length_s")
            return
        longest = self.pipeline.feature_extractor.chunk_length if self.is_whisper else None
        if longest is not None and chunk > longest:
            _refuse("chunk_length_s", f"the model reads at most {longest} seconds at once")
        both = 2 * stride if isinstance(stride, int | float) else sum(stride or ())
        if both > MOST_OVERLAP * chunk:
            _refuse("stride_length_s", f"the two strides may take up to {MOST_OVERLAP:.0%} of chunk_length_s")


def check_windows(samples: int, rate: int, preprocess: dict[str, Any]) -> None:
    """Raises InvalidRequest for a recording of so many samples that would be cut into too many windows."""
    chunk = preprocess.get("chunk_length_s")
    if not chunk:
        return
    stride = preprocess.get("stride_length_s")
    stride = chunk / 6 if stride is None else stride
    new = chunk - (2 * stride if isinstance(stride, int | float) else sum(stride))
    if samples / rate / new > MAX_WINDOWS:
        _refuse(
            "chunk_length_s",
            f"the recording of {samples / rate:,.1f} s has more than {MAX_WINDOWS:,} windows, each with"
            f" {new:,.2f} s that the one before does not have",
        )


def _refuse(parameter: str, reason: str) -> None:
    raise InvalidRequest(f"parameters.{parameter}: {reason}", pointer=f"/parameters/{parameter}")
