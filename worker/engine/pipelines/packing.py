"""Packing: rows of different lengths end to end, as one row without padding, through a model that isn't told.

All of a transformer but its attention looks at one token at a time, and doesn't mind whose neighbour that is.
Attention must know where each row begins and ends, and runs on each by itself, as in ByteTransformer (Zhai et
al., 2023) and FlashAttention's `varlen` calls. transformers lets an attention be registered by name: ours is
its own `sdpa`, called once for each length that occurs.

Nothing here trusts a model to be of that kind: a mask other than "all of the row" and "all before it in the
row" is refused, and whoever packs compares answers first (`worker/engine/pipelines/text.py`).
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

_MORE = ("cache", "position_bias", "s_aux", "sliding_window", "softcap")
"""Arguments of an attention that looks at more than queries, keys and values."""


class Span(NamedTuple):
    """Neighbouring rows of one length; all in tokens."""

    start: int
    length: int
    end: int


_spans: ContextVar[list[Span] | None] = ContextVar("spans", default=None)
"""Of what the model is working on; None: rows as it knows them."""


class CannotPackError(RuntimeError):
    """The model does something with rows that packing does not know."""


@contextmanager
def packed(lengths: Sequence[int]) -> Iterator[None]:
    """In it, a model that is ready takes [1, sum(lengths)] tokens; like lengths should be neighbours."""
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
    """Readies a model for `packed`, and tells how to undo that; None when it cannot be. Else it is as it was.

    `first_tokens`: of each row only the first token leaves the last layer, as [rows, 1, dim], so that a head
    that looks at no other finds it where it would be.
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
    """Each [1, heads, tokens, dim] -> [1, tokens, heads, dim], each row's attention by itself."""
    spans = _spans.get()
    if spans is None:
        return sdpa_attention_forward(module, query, key, value, mask, **options)
    if any(options.get(name) is not None for name in _MORE):
        raise CannotPackError("its attention looks at more than queries, keys and values")
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
        raise CannotPackError("its attention has a mask of its own")
    return None


def _keep_first_tokens(module: torch.nn.Module, inputs: Any, output: Any) -> Any:
    spans = _spans.get()
    if spans is None:
        return output
    hidden = output if isinstance(output, torch.Tensor) else output[0]
    firsts = hidden[0, [at for span in spans for at in range(span.start, span.end, span.length)]][:, None]
    return firsts if isinstance(output, torch.Tensor) else (firsts, *output[1:])
