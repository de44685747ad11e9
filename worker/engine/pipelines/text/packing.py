"""Packing: runs rows of different lengths through a model as one concatenated row, without padding.

All parts of a transformer except attention process one token at a time, so neighbouring tokens do not matter
to them. Attention needs the start and end of each row, and runs on each row separately, as in ByteTransformer
(Zhai et al., 2023) and FlashAttention's `varlen` calls. transformers allows registering an attention by name:
ours is its own `sdpa`, called once for each distinct length.

No model is assumed to work this way. A mask other than "all of the row" and "all before it in the row" is
refused, and the caller compares answers first (`worker/engine/pipelines/text/base.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import groupby
from typing import Any, NamedTuple

import torch
from transformers import masking_utils
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

_NAME = "batchline_packed"

_PLAIN_MASKS = (masking_utils.bidirectional_mask_function, masking_utils.causal_mask_function)

UNSUPPORTED = ("cache", "position_bias", "s_aux", "sliding_window", "softcap")
"""Arguments of an attention that uses more than queries, keys and values."""


class Span(NamedTuple):
    """Neighbouring rows of one length; all in tokens."""

    start: int
    length: int
    end: int


_spans: ContextVar[list[Span] | None] = ContextVar("spans", default=None)
"""The rows of the current pass; None if it is not packed."""


class CannotPackError(RuntimeError):
    """The model processes rows in a way that packing does not support."""


@contextmanager
def packed(lengths: Sequence[int]) -> Iterator[None]:
    """Within it, a prepared model takes [1, sum(lengths)] tokens; equal lengths should be neighbours."""
    spans, start = [], 0
    for length, rows in groupby(lengths):
        end = start + length * len(list(rows))
        spans.append(Span(start, length, end))
        start = end
    token = _spans.set(spans)
    try:
        yield
    finally:
        _spans.reset(token)


def make_ready(model: Any, *, first_tokens: bool) -> Callable[[], None] | None:
    """Prepares a model for `packed` and returns a function that undoes it; None, unchanged, if it cannot be.

    `first_tokens`: the last layer returns only the first token of each row, as [rows, 1, dim], which is where
    a head that uses no other token expects it.
    """
    layers = [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]
    if model.config._attn_implementation != "sdpa" or not model._supports_attention_backend:
        return None
    if first_tokens and not layers:
        return None
    ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
    masking_utils.ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, _mask)
    model.set_attn_implementation(_NAME)
    hook = layers[-1].register_forward_hook(_keep_first_tokens) if first_tokens else None

    def undo() -> None:
        model.set_attn_implementation("sdpa")
        if hook is not None:
            hook.remove()

    return undo


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Each [1, heads, tokens, dim] -> [1, tokens, heads, dim]; attention runs on each row separately."""
    spans = _spans.get()
    if spans is None:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    if any(options.get(name) is not None for name in UNSUPPORTED):
        raise CannotPackError("its attention uses more than queries, keys and values")
    outputs = []
    for span in spans:
        q, k, v = (_rows(states, span) for states in (query, key, value))
        output, _ = sdpa_attention_forward(module, q, k, v, None, **options)
        outputs.append(output.flatten(0, 1))
    return torch.cat(outputs)[None], None


def _rows(states: torch.Tensor, span: Span) -> torch.Tensor:
    """[1, heads, tokens, dim] -> [rows, heads, length, dim]"""
    _, heads, _, dim = states.shape
    return states[0, :, span.start : span.end].reshape(heads, -1, span.length, dim).transpose(0, 1)


def _mask(*, mask_function: Callable[..., Any], **options: Any) -> torch.Tensor | None:
    if _spans.get() is None:
        return masking_utils.sdpa_mask(mask_function=mask_function, **options)
    if mask_function not in _PLAIN_MASKS:
        raise CannotPackError("its attention uses an unsupported mask")
    return None


def _keep_first_tokens(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
    spans = _spans.get()
    if spans is None:
        return output
    hidden = output if isinstance(output, torch.Tensor) else output[0]
    firsts = hidden[0, [at for span in spans for at in range(span.start, span.end, span.length)]][:, None]
    return firsts if isinstance(output, torch.Tensor) else (firsts, *output[1:])
