"""Text generation: continues prompts, in batches that end with their longest row.

`continuous/` lets rows join and leave. A batch remains for models that cannot, and for comparisons.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import transformers
from transformers.pipelines.text_generation import ReturnType

from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.tasks.text.generation import TEXT_GENERATION
from worker.engine.pipelines.checkpoint import Architecture, Checkpoint
from worker.engine.pipelines.interface import Prepared
from worker.engine.pipelines.text.base import Layout, TextPipeline
from worker.engine.pipelines.text.chats import rendered
from worker.engine.pipelines.text.continuous.text_stream import first_stop, until_stop
from worker.engine.pipelines.text.endings import details_of, ends_of, until_end
from worker.engine.pipelines.text.padding import pad_left

_DEFAULT_NEW_TOKENS = 256
"""As in transformers, if neither the request nor the model sets it."""

_DEPENDS_ON_PADDING = ("min_length", "no_repeat_ngram_size", "bad_words_ids", "sequence_bias")
"""Settings in a model's generation_config.json that also act on the padded prompt."""


@dataclass(frozen=True)
class Prompts:
    """Prompts that share a forward pass, padded on the left, and the maximum of new tokens for each."""

    texts: list[Any]
    """The inputs, which may be chats."""
    tokens: list[list[int]]
    limits: list[int]
    ids: torch.Tensor
    mask: torch.Tensor


@dataclass(frozen=True)
class Continued:
    """For each of `prompts`, its sequences with prompt and padding: [sequences, tokens]."""

    prompts: Prompts
    sequences: list[Any]

    @property
    def steps(self) -> int:
        """Number of tokens generated for each prompt, one after the other."""
        return int(self.sequences[0].shape[-1]) - self.prompts.ids.shape[1]


class TextGeneration(TextPipeline):
    """Returns a continuation of each prompt.

    Sampled continuations differ between runs, because the whole batch shares one random sequence. With a
    `seed` each prompt has a pass of its own, so that its random numbers are its own.
    """

    architecture = Architecture(transformers.AutoModelForCausalLM)
    postprocessing = "text-generation"
    warm_up_parameters: ClassVar[dict[str, Any]] = {"max_new_tokens": 4, "do_sample": False}
    compared_with: ClassVar[dict[str, Any]] = {
        "max_new_tokens": 16,
        "do_sample": False,
        "return_full_text": False,
    }
    compared_texts = 32  # more texts would take too long

    def _check(self, one: Any) -> None:
        if isinstance(one, dict):
            TEXT_GENERATION.input.check(one, "/inputs")
        else:
            super()._check(one)

    def _prepare(self, texts: list[Any], parameters: dict[str, Any]) -> Prepared:
        fitted = [self._fit(ids, parameters) for ids in self._tokens(texts)]
        parts = []
        alone = [[row] for row in range(len(texts))]
        for rows in alone if "seed" in parameters else self._together(len(texts)):
            tokens = [fitted[row][0] for row in rows]
            ids, mask = map(self._staged, pad_left(tokens))
            limits = [fitted[row][1] for row in rows]
            parts.append(Prompts([texts[row] for row in rows], tokens, limits, ids, mask))
        lengths = sum(len(prompt) for prompt, _ in fitted)
        return Prepared((parts, parameters), lengths, sum(part.ids.numel() for part in parts))

    def __init__(self, spec: ModelSpec, checkpoint: Checkpoint) -> None:
        super().__init__(spec, checkpoint)
        self.new_tokens = self._new_tokens([], {})

    def _compute(self, work: tuple[list[Prompts], dict[str, Any]]) -> tuple[list[Continued], dict[str, Any]]:
        parts, parameters = work
        continued = [Continued(part, self._continue(part, parameters)) for part in parts]
        self.steps = max(part.steps for part in continued)
        return continued, parameters

    def _continue(self, part: Prompts, parameters: dict[str, Any]) -> list[Any]:
        _, forward, _ = self.pipeline._sanitize_parameters(**of_transformers(parameters))
        batch = {
            "input_ids": self._on_device(part.ids),
            "attention_mask": self._on_device(part.mask),
            "prompt_text": list(map(_shown, part.texts)),
        }
        ours: dict[str, Any] = {"max_new_tokens": max(part.limits), "pad_token_id": self._padding_token()}
        if stops := parameters.get("stop"):
            ours["stopping_criteria"] = [_Stopped(self._decoded, part.ids.shape[1], stops)]
        seed = parameters.get("seed")
        with nullcontext() if seed is None else self._seeded(seed):
            generated = self.pipeline.forward(batch, **{**self.pipeline._forward_params, **forward, **ours})
        return list(generated["generated_sequence"])

    @contextmanager
    def _seeded(self, seed: int) -> Iterator[None]:
        """Draws random numbers that depend on the seed only."""
        with torch.random.fork_rng([self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(seed)
            yield

    def _decoded(self, tokens: list[int]) -> str:
        with self._tokenizing:
            return str(self.tokenizer.decode(tokens, skip_special_tokens=True))

    def _answer(self, computed: tuple[list[Continued], dict[str, Any]]) -> list[Any]:
        parts, parameters = computed
        return [output for part in parts for output in self._records(part, parameters)]

    def compared(self, output: Any) -> Any:
        """See ComparablePipeline."""
        return [entry["generated_text"] for entry in output]

    def _records(self, part: Continued, parameters: dict[str, Any]) -> Iterator[list[Any]]:
        given, start = part.prompts, part.prompts.ids.shape[1]
        ends = ends_of(self.model)
        for text, prompt, limit, sequences in zip(
            given.texts, given.tokens, given.limits, part.sequences, strict=True
        ):
            records: list[Any] = []
            for sequence in sequences:
                new = until_end(sequence[start:].tolist()[:limit], ends)
                if stops := parameters.get("stop"):
                    new = self._until_stopped(new, stops)
                records += self._record(text, prompt, new, parameters)
            yield records

    def _until_stopped(self, new: list[int], stops: list[str]) -> list[int]:
        """Returns the tokens up to the one with which a stop string was complete; padding follows it."""

        def stopped(count: int) -> bool:
            text = self.tokenizer.decode(new[:count], skip_special_tokens=True)
            return first_stop(text, stops) is not None

        return new[: bisect_left(range(len(new)), True, key=stopped)]

    def _record(
        self, given: Any, prompt: list[int], new: list[int], parameters: dict[str, Any]
    ) -> list[dict[str, Any]]:
        """Returns the output for one sequence of new tokens; of a chat, without the chat."""
        text = _shown(given)
        if isinstance(given, dict):
            parameters = {**parameters, "return_full_text": False}
        options = self._postprocess_parameters(of_transformers(parameters))
        result = {
            "generated_sequence": torch.tensor([[[*prompt, *new]]]),
            "input_ids": torch.tensor([prompt]),
            "prompt_text": text,
        }
        [record] = self.pipeline.postprocess(result, **options)
        stopped = False
        if stops := parameters.get("stop"):
            before = text if options.get("return_type", ReturnType.FULL_TEXT) is ReturnType.FULL_TEXT else ""
            whole = record["generated_text"]
            record["generated_text"] = before + until_stop(whole[len(before) :], stops)
            stopped = len(record["generated_text"]) < len(whole)
        if parameters.get("details"):
            record["details"] = details_of(prompt, new, ends_of(self.model), stopped=stopped)
        return [record]

    def _predict(self, texts: list[str]) -> list[torch.Tensor]:
        one = {"max_new_tokens": 1}
        ids, mask = pad_left([self._fit(ids, one)[0] for ids in self._tokens(texts)])
        output = self.model.generate(
            self._on_device(ids),
            attention_mask=self._on_device(mask),
            pad_token_id=self._padding_token(),
            return_dict_in_generate=True,
            output_logits=True,
            do_sample=False,
            num_beams=1,
            num_return_sequences=1,
            **one,
        )
        return list(output.logits[0].cpu())

    def _layouts(self) -> Iterator[Layout]:
        config = self.model.generation_config
        if not any(getattr(config, name, None) for name in _DEPENDS_ON_PADDING):
            yield "padded"

    def _tokens(self, inputs: list[Any]) -> list[list[int]]:
        prefix = self.pipeline._preprocess_params.get("prefix") or ""
        texts = [prefix + one for one in inputs if isinstance(one, str)]
        plain = iter(self.tokenizer(texts)["input_ids"] if texts else ())
        rows: list[list[int]] = [
            next(plain) if isinstance(one, str) else rendered(self.tokenizer, one["messages"])
            for one in inputs
        ]
        if not all(rows):
            raise InvalidRequest("the tokenizer finds no tokens in the text")
        return rows

    def _fit(self, prompt: list[int], parameters: dict[str, Any]) -> tuple[list[int], int]:
        """Returns the end of the prompt that leaves room for the new tokens, and their number."""
        new, room = self._new_tokens(prompt, parameters), self.info.max_length
        if room is None or len(prompt) + new <= room:
            return prompt, new
        if new >= room and "max_new_tokens" in parameters:
            raise InvalidRequest(
                f"max_new_tokens is {new}, but prompt and continuation share {room} tokens",
                pointer="/parameters/max_new_tokens",
            )
        new = new if new < room else room // 2
        start = prompt[:1] if prompt[0] == self.tokenizer.bos_token_id and room - new > 1 else []
        return [*start, *prompt[len(prompt) - (room - new - len(start)) :]], new

    def _new_tokens(self, prompt: list[int], parameters: dict[str, Any]) -> int:
        config = self.model.generation_config
        wanted = parameters.get("max_new_tokens", config.max_new_tokens)
        if wanted is not None:
            return int(wanted)
        if config.max_length is None:
            return _DEFAULT_NEW_TOKENS
        if len(prompt) >= config.max_length:
            raise InvalidRequest(
                f"the prompt has {len(prompt)} tokens, and the model's max_length is {config.max_length}; "
                "give max_new_tokens"
            )
        return int(config.max_length) - len(prompt)

    def _padding_token(self) -> int:
        token = self.tokenizer.pad_token_id
        return int(token) if token is not None else min(ends_of(self.model), default=0)


def of_transformers(parameters: dict[str, Any]) -> dict[str, Any]:
    """Returns the parameters that transformers has too."""
    return {name: value for name, value in parameters.items() if name not in ("seed", "stop", "details")}


def _shown(given: Any) -> str:
    """The part of an input that an output may repeat."""
    return given if isinstance(given, str) else ""


@dataclass(frozen=True)
class _Stopped:
    """The criterion of `generate` for rows whose new text has a stop string.

    transformers' own reads the prompt as well, and needs seconds to prepare for a large vocabulary.
    """

    decode: Callable[[list[int]], str]
    start: int
    """The first new token of each row."""
    stops: list[str]

    def __call__(self, ids: torch.Tensor, scores: Any, **options: Any) -> torch.Tensor:
        texts = map(self.decode, ids[:, self.start :].tolist())
        return torch.tensor([first_stop(text, self.stops) is not None for text in texts], device=ids.device)
