"""A torch encoder -> an ONNX graph that takes rows side by side or concatenated.

The graph gets the positions of its tokens and a mask from its caller. A mask with blocks keeps concatenated
rows apart, so the graph needs no padding, like `packing` with torch. Only models that `packing` supports are
exported: the others compute attention in ways that a mask alone does not describe.
"""

import io
import warnings
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import torch
from torch import nn
from transformers import masking_utils
from transformers.integrations.sdpa_attention import repeat_kv
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from worker.engine.pipelines.prepacked import PrepackedLinear
from worker.engine.pipelines.text.packing import UNSUPPORTED, CannotPackError

MASK, FIRSTS = "mask", "firsts"
"""Names of the graph's inputs beside the model's own."""

_OPSET = 18

_NAME = "batchline_onnx"

_mask: ContextVar[torch.Tensor | None] = ContextVar("mask", default=None)
"""The graph's mask, while the model is traced."""

Tensors = dict[str, torch.Tensor]


def export(
    model: Any,
    inputs: Tensors,
    read: Callable[[Any], torch.Tensor],
    *,
    first_tokens: bool,
    options: dict[str, Any],
) -> bytes:
    """Returns the graph, with float32 weights. The model cannot be used with torch afterwards.

    `inputs`: examples of the model's inputs, each [rows, tokens]; their sizes do not matter. `options` are
    its other arguments. `read` takes what the task reads out of its output.

    The graph has two more inputs. MASK is added to the scores of attention, [rows, 1, tokens, tokens], of
    which rows and the first tokens may be 1. With `first_tokens`, FIRSTS, [texts], says where in the
    concatenated rows each text's first token is, and only these leave the last layer.

    Raises what torch raises for a model that cannot be exported.
    """
    ALL_ATTENTION_FUNCTIONS.register(_NAME, _attend)
    masking_utils.ALL_MASK_ATTENTION_FUNCTIONS.register(_NAME, _no_mask)
    model.set_attn_implementation(_NAME)
    for module in model.modules():
        if isinstance(module, PrepackedLinear):
            _ = module.weight  # from then on it is a plain layer, which can be exported
    rows, tokens = inputs["input_ids"].shape
    given = inputs | {MASK: torch.zeros(1, 1, 1, tokens)}
    axes: dict[str, dict[int, str]] = {name: {0: "rows", 1: "tokens"} for name in inputs}
    axes[MASK] = {0: "mask_rows", 2: "queries", 3: "keys"}
    if first_tokens:
        given[FIRSTS] = torch.arange(0, rows * tokens, tokens)
        axes[FIRSTS] = {0: "texts"}
    file: Any = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # tracing warns of what the comparison of answers checks
        torch.onnx.export(
            _Traced(model, read, list(given), options),
            tuple(given.values()),
            file,
            input_names=list(given),
            output_names=["output"],
            dynamic_axes=axes | {"output": {0: "texts", 1: "tokens"}},
            opset_version=_OPSET,
            dynamo=False,  # the other exporter needs a package more, and more time
        )
    graph: bytes = file.getvalue()
    return graph


class _Traced(nn.Module):
    """The model with the graph's inputs in their order."""

    def __init__(
        self, model: Any, read: Callable[[Any], torch.Tensor], names: list[str], options: dict[str, Any]
    ) -> None:
        super().__init__()
        self.model, self.read, self.names, self.options = model, read, names, options
        self.eval()

    def forward(self, *tensors: torch.Tensor) -> torch.Tensor:
        inputs = dict(zip(self.names, tensors, strict=True))
        token = _mask.set(inputs.pop(MASK))
        firsts, hook = inputs.pop(FIRSTS, None), None
        if firsts is not None:
            layers = [each for each in self.model.modules() if isinstance(each, GradientCheckpointingLayer)]
            hook = layers[-1].register_forward_hook(_keep(firsts))
        try:
            return self.read(
                self.model(**inputs, attention_mask=torch.ones_like(inputs["input_ids"]), **self.options)
            )
        finally:
            _mask.reset(token)
            if hook is not None:
                hook.remove()


def _keep(firsts: torch.Tensor) -> Callable[[Any, Any, Any], Any]:
    def hook(module: nn.Module, inputs: Any, output: Any) -> Any:
        hidden = output if isinstance(output, torch.Tensor) else output[0]
        kept = hidden.flatten(0, 1)[firsts][:, None]
        return kept if isinstance(output, torch.Tensor) else (kept, *output[1:])

    return hook


def _attend(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """Each [rows, heads, tokens, dim] -> [rows, tokens, heads, dim], with the graph's mask only."""
    if any(options.get(name) is not None for name in UNSUPPORTED):
        raise CannotPackError("its attention uses more than queries, keys and values")
    if getattr(module, "is_causal", False):
        raise CannotPackError("its tokens attend only to earlier ones")
    if (groups := getattr(module, "num_key_value_groups", 1)) > 1:
        key, value = repeat_kv(key, groups), repeat_kv(value, groups)
    allowed = _mask.get()
    assert allowed is not None
    scores = query @ key.transpose(2, 3) * (scaling or query.shape[-1] ** -0.5) + allowed
    return (scores.softmax(dim=-1) @ value).transpose(1, 2).contiguous(), None


def _no_mask(*, mask_function: Callable[..., Any], **_: Any) -> None:
    if mask_function is not masking_utils.bidirectional_mask_function:
        raise CannotPackError("its attention uses an unsupported mask")
