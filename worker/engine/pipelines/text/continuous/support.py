"""Whether a model can be continued row by row: what its configuration says, then a trial.

The trial joins prompts of different lengths at different steps and compares the logits of each with those of
`generate` for that prompt alone. What it cannot show, because it depends on longer texts, is excluded by the
configuration: caches other than keys and values of each position, windows other than transformers' own
sliding window, positions that depend on the longest row of a batch.

A second trial computes the ends of prompts on top of positions that are known. A model whose answers change
computes each prompt as a whole.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import torch
from transformers.cache_utils import get_layer_types_and_kwargs
from transformers.generation.configuration_utils import GenerationMode

from worker.engine.pipelines.text.continuous.decoder import SlotDecoder, Style
from worker.engine.pipelines.text.continuous.prompts import Prompt

logger = logging.getLogger(__name__)

STEPS = 4
"""New tokens of each prompt in the trial."""

_FULL, _SLIDING = "full_attention", "sliding_attention"

_WINDOWS = ("window", "local", "chunk", "sparse", "block_size")
"""Parts of names of settings that limit what a token sees."""

_KNOWN = ("sliding_window", "max_window_layers", "rope_local_base_freq", "expert", "sparse_step")
"""Parts of names that limit nothing, or that `layer_types` and the positions follow."""

_MOVING_POSITIONS = {"dynamic", "longrope"}
"""Kinds of rotary positions that depend on the longest text of a batch."""

_OTHER_LOOPS = (
    "guidance_scale",
    "watermarking_config",
    "stop_strings",
    "max_time",
    "token_healing",
    "prompt_lookup_num_tokens",
    "assistant_early_exit",
    "dola_layers",
    "penalty_alpha",
    "use_mtp",
    "constraints",
    "force_words_ids",
    "cache_implementation",
)
"""Settings of a model's generation_config.json that need more of transformers' `generate`."""


class Unsupported(Exception):
    """The model cannot be continued row by row; the message says why."""


Reference = Callable[[Sequence[int]], tuple[list[int], list[torch.Tensor]]]
"""Continues a prompt alone by STEPS tokens: these, and the logits of each, [vocabulary]."""

Agree = Callable[[torch.Tensor, torch.Tensor], bool]


def find_style(
    model: Any, prompts: Sequence[Sequence[int]], reference: Reference, agree: Agree, pads: bool
) -> tuple[Style, int]:
    """Returns how the model is called, and the bytes of one position. Raises Unsupported.

    `prompts`: three of different lengths.
    """
    windows = _windows(model)
    expected = [reference(prompt) for prompt in prompts]
    reason = "a trial with rows of different lengths failed"
    for style in _styles(windows, pads):
        decoder = SlotDecoder(model, style)
        try:
            if _trial(decoder, prompts, expected, agree):
                return _with_parts(model, style, prompts, expected, agree), decoder.position_bytes
            reason = "in a trial, rows of different lengths changed each other's answers"
        except Exception as error:  # a model that expects other shapes may raise anything
            reason = f"a trial with rows of different lengths failed: {error}"
    raise Unsupported(reason)


def check_settings(config: Any, prefix_length: int) -> None:
    """Raises Unsupported if the model's generation settings need more than one token of each row at a time.

    `config`: the generation config of a request without parameters.
    """
    if config.get_generation_mode() not in (GenerationMode.GREEDY_SEARCH, GenerationMode.SAMPLE):
        raise Unsupported(f"its generation_config.json asks for {config.get_generation_mode().value}")
    if (config.num_return_sequences or 1) > 1:
        raise Unsupported("its generation_config.json asks for several sequences")
    if found := [name for name in _OTHER_LOOPS if getattr(config, name, None)]:
        raise Unsupported(f"its generation_config.json sets {found[0]}")
    if prefix_length:
        raise Unsupported("it reads a prefix before each prompt")


def _windows(model: Any) -> dict[str, int | None]:
    """Returns the kinds of layers with their windows. Raises Unsupported."""
    config = model.config.get_text_config(decoder=True)
    if config.is_encoder_decoder or getattr(config, "add_cross_attention", False):
        raise Unsupported("it has an encoder")
    kinds, options = get_layer_types_and_kwargs(config)
    if other := set(kinds) - {_FULL, _SLIDING}:
        raise Unsupported(f"it has layers of kind {min(other)}")
    sliding = {one["sliding_window"] for one in options if "sliding_window" in one}
    if len(sliding) > 1:
        raise Unsupported("its sliding windows differ")
    for name, value in config.to_dict().items():
        limits = any(part in name for part in _WINDOWS) and not any(part in name for part in _KNOWN)
        if limits and value and not isinstance(value, str):
            raise Unsupported(f"its config.json sets {name}")
    for module in model.modules():
        found = getattr(module, "rope_type", None)
        if not _MOVING_POSITIONS.isdisjoint(found.values() if isinstance(found, dict) else [found]):
            raise Unsupported("its positions depend on the longest text of a batch")
    every: dict[str, int | None] = {_FULL: None, _SLIDING: min(sliding, default=None)}
    return {kind: window for kind, window in every.items() if kind in kinds}


def _styles(windows: dict[str, int | None], pads: bool) -> Iterator[Style]:
    yield Style(windows, "additive", pads)
    if list(windows) == [_FULL]:
        yield Style(windows, "padding", pads)


def _trial(
    decoder: SlotDecoder,
    prompts: Sequence[Sequence[int]],
    expected: Sequence[tuple[list[int], list[torch.Tensor]]],
    agree: Agree,
) -> bool:
    """Whether rows that join and leave at different steps have the logits that each has alone."""
    rows: list[int] = []
    seen = [0] * len(prompts)

    def same(logits: torch.Tensor, of: Sequence[int]) -> bool:
        for found, prompt in zip(logits, of, strict=True):
            if not agree(expected[prompt][1][seen[prompt]].float().cpu(), found.cpu()):
                return False
            seen[prompt] += 1
        return True

    def join(*new: int) -> bool:
        rows.extend(new)
        return same(decoder.join([Prompt(prompts[one], len(prompts[one]) + STEPS) for one in new]), new)

    def step() -> bool:
        return same(decoder.step([expected[one][0][seen[one] - 1] for one in rows]), rows)

    def leave(slot: int) -> bool:
        decoder.leave(slot)
        rows[slot] = rows[-1]
        rows.pop()
        return True

    first, second, third = range(3)
    return (join(first, third) and step() and join(second) and step() and leave(0) and step()) and seen == [
        3,
        3,
        4,
    ]


def _with_parts(
    model: Any,
    style: Style,
    prompts: Sequence[Sequence[int]],
    expected: Sequence[tuple[list[int], list[torch.Tensor]]],
    agree: Agree,
) -> Style:
    """Returns the style with `parts`, if the model passes the trial of these."""
    parts = replace(style, parts=True)
    at = max(range(len(prompts)), key=lambda one: len(prompts[one]))
    size = max(1, len(prompts[at]) // 3)
    try:
        if _trial_of_parts(SlotDecoder(model, parts, block=size), prompts[at], *expected[at], agree):
            return parts
        logger.info("prompts are computed as a whole, because in a trial parts of them changed their answers")
    except Exception as error:
        logger.info("prompts are computed as a whole, because a trial of parts of them failed: %s", error)
    return style


def _trial_of_parts(
    decoder: SlotDecoder,
    prompt: Sequence[int],
    tokens: Sequence[int],
    logits: Sequence[torch.Tensor],
    agree: Agree,
) -> bool:
    """Whether prompts on top of positions that others computed have the logits of `generate`.

    `tokens` continue the prompt, so it may have any number of them.
    """

    def same(found: torch.Tensor, *numbers: int) -> bool:
        """The numbers of the expected logits."""
        pairs = zip(found, numbers, strict=True)
        return all(agree(logits[number].float().cpu(), one.cpu()) for one, number in pairs)

    def join(*more: int) -> bool:
        """Joins the prompt with so many of its tokens."""
        whole = [[*prompt, *tokens[:count]] for count in more]
        return same(decoder.join([Prompt(one, len(one) + STEPS) for one in whole]), *more)

    prefixes = decoder.prompts.prefixes
    return (
        join(0, 1)  # the second on top of what it shares with the first
        and prefixes is not None
        and prefixes.positions > 0
        and join(0, 2)  # together on top of different numbers of positions
        and same(decoder.step([tokens[count] for count in (0, 1, 0, 2)]), 1, 2, 1, 3)
    )
