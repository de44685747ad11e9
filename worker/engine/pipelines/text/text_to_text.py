"""Texts for texts, by models with an encoder and a decoder. transformers 5 has no such pipelines."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import transformers

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.text_to_text import HEADS, beams
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.base import Layout, TextPipeline
from worker.engine.pipelines.text.endings import ends_of, until_end
from worker.engine.pipelines.text.padding import pad_right

_DEFAULTS = {"max_new_tokens": 256, "num_beams": 4}
"""As in the pipelines of transformers 4, if neither the request nor the model sets them."""

_READS_PADDING = {"encoder_no_repeat_ngram_size": 0, "encoder_repetition_penalty": 1.0}
"""Settings in a model's generation_config.json that also act on the padding of the text; without effect."""


@dataclass(frozen=True)
class Texts:
    """Texts that share a forward pass of the encoder, [rows, longest] each."""

    ids: torch.Tensor
    mask: torch.Tensor


class TextToText(TextPipeline):
    """Returns a text for each text, in the form of the pipelines of transformers 4.

    Sampled texts differ between runs, because the whole batch shares one random sequence.
    """

    architecture = Architecture(transformers.AutoModelForSeq2SeqLM, head=HEADS)
    output: ClassVar[str]
    """The key of an output's text."""
    specific: ClassVar[str] = ""
    """The name of the task in a model's `task_specific_params`."""
    warm_up_parameters: ClassVar[dict[str, Any]] = {"max_new_tokens": 4, "do_sample": False}
    compared_with: ClassVar[dict[str, Any]] = {"max_new_tokens": 16, "do_sample": False, "num_beams": 1}
    compared_texts = 32  # more texts would take too long

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.new_tokens = self._options({})["max_new_tokens"]

    def _prepare(self, texts: list[str], parameters: dict[str, Any]) -> Prepared:
        options = self._options(parameters)
        rows = self._encode(texts, parameters, options)
        if not all(rows):
            raise InvalidRequest("the tokenizer finds no tokens in the text")
        parts = [self._padded([rows[at] for at in part]) for part in self._together(len(rows))]
        times = beams(parameters)
        tokens, padded = sum(map(len, rows)), sum(part.ids.numel() for part in parts)
        return Prepared((parts, options), tokens * times, padded * times)

    def _compute(self, work: tuple[list[Texts], dict[str, Any]]) -> list[list[int]]:
        parts, options = work
        generated = [self._generate(part, options) for part in parts]
        self.steps = max(sequences.shape[1] for sequences in generated)
        return [row for sequences in generated for row in sequences.tolist()]

    def _answer(self, computed: list[list[int]]) -> list[Any]:
        ends = ends_of(self.model)
        return [{self.output: self._text(until_end(row, ends))} for row in computed]

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [output[self.output]]

    def _generate(self, part: Texts, options: dict[str, Any]) -> torch.Tensor:
        """Returns the tokens generated for each row, [rows, longest], without the one that starts them."""
        sequences: torch.Tensor = self.model.generate(
            input_ids=self._on_device(part.ids), attention_mask=self._on_device(part.mask), **options
        )
        return sequences[:, 1:].cpu()

    def _text(self, tokens: list[int]) -> str:
        text: str = self.tokenizer.decode(
            tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False
        )
        return text

    def _encode(
        self, texts: list[str], parameters: dict[str, Any], options: dict[str, Any]
    ) -> list[list[int]]:
        """Returns the tokens of each text. May add to the `options` of the generation."""
        prefix = self._specific(parameters).get("prefix") or getattr(self.model.config, "prefix", None) or ""
        return self._tokens([prefix + text for text in texts])

    def _tokens(self, texts: list[str]) -> list[list[int]]:
        rows: list[list[int]] = self.tokenizer(texts, truncation=self.info.max_length is not None)[
            "input_ids"
        ]
        return rows

    def _specific(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Returns what the model's files set for this task alone."""
        found = (getattr(self.model.config, "task_specific_params", None) or {}).get(self.specific, {})
        return dict(found)

    def _options(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Returns the arguments of `generate`: the request's, the task's in the model's files, defaults."""
        config = self.model.generation_config
        specific = self._specific(parameters)
        ours = {name: value for name, value in specific.items() if name != "prefix" and hasattr(config, name)}
        if "min_new_tokens" in parameters:
            ours["min_length"] = 0
        ours |= {name: value for name, value in parameters.items() if hasattr(config, name)}
        if config.num_beams is None:
            ours.setdefault("num_beams", _DEFAULTS["num_beams"])
        longest = ours.pop("max_length", config.max_length)
        new = ours.get("max_new_tokens", config.max_new_tokens)
        if new is None:
            new = longest - 1 if longest is not None else _DEFAULTS["max_new_tokens"]
        ours["max_new_tokens"] = self._within(max(1, int(new)), asked="max_new_tokens" in parameters)
        if ours.get("min_new_tokens", 0) > ours["max_new_tokens"]:
            raise InvalidRequest(
                f"min_new_tokens ({ours['min_new_tokens']}) exceeds"
                f" max_new_tokens ({ours['max_new_tokens']})",
                pointer="/parameters/min_new_tokens",
            )
        return ours | {"num_return_sequences": 1, "return_dict_in_generate": False}

    def _within(self, new: int, *, asked: bool) -> int:
        """Returns how many tokens the decoder may generate: it may have a position for so many only."""
        config = self.model.config.get_text_config(decoder=True)
        room = getattr(config, "max_decoder_position_embeddings", None)
        room = room or getattr(config, "max_position_embeddings", None)
        if not isinstance(room, int) or new <= room:
            return new
        if asked:
            raise InvalidRequest(
                f"max_new_tokens is {new}, but the model generates at most {room} tokens",
                pointer="/parameters/max_new_tokens",
            )
        return room

    def _padded(self, rows: list[list[int]]) -> Texts:
        token = self.tokenizer.pad_token_id
        ids = pad_right(rows, self.model.config.pad_token_id or 0 if token is None else token)
        return Texts(self._staged(ids), self._staged(pad_right([[1] * len(row) for row in rows], 0)))

    def _layouts(self) -> Iterator[Layout]:
        config = self.model.generation_config
        if all(getattr(config, name, None) in (None, value) for name, value in _READS_PADDING.items()):
            yield "padded"

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        part = self._padded(self._tokens(texts))
        config = self.model.generation_config
        start = config.decoder_start_token_id
        start = config.bos_token_id if start is None else start
        output = self.model(
            input_ids=self._on_device(part.ids),
            attention_mask=self._on_device(part.mask),
            decoder_input_ids=self._on_device(torch.full((len(texts), 1), start)),
        )
        return list(output.logits[:, -1].cpu())


class Text2TextGeneration(TextToText):
    """Returns the text that the model generates for each text."""

    output = "generated_text"


class Summarization(TextToText):
    """Returns the summary of each text."""

    output = "summary_text"
    specific = "summarization"
