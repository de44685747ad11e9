"""Linear layers whose weights are kept in the order in which oneDNN reads them, on the CPU.

torch orders the weights of `nn.Linear` anew in every pass. In a small batch that takes a good part of the
time. The products are the same but for rounding: `python -m bench.linears` prints both.
"""

from typing import Any

import torch
from torch import nn


class PrepackedLinear(nn.Module):
    """`nn.Linear` on [..., inputs] -> [..., outputs], for inference only.

    Some models read `weight`, for example its type, or multiply by it themselves. From then on the layer
    has its usual weight and none in oneDNN's order.
    """

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self._packed: torch.Tensor | None = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach())
        self._plain: torch.Tensor | None = None

    @property
    def weight(self) -> torch.Tensor:
        """The weight, [outputs, inputs]."""
        packed = self._packed
        if packed is not None:  # read once, because another thread may be here too
            self._plain = packed.to_dense()
            self._packed = None  # last, because another thread may be in `forward`
        assert self._plain is not None
        return self._plain

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        packed = self._packed
        if packed is None:
            return nn.functional.linear(inputs, self.weight, self.bias)
        products: torch.Tensor = torch.ops.mkldnn._linear_pointwise(inputs, packed, self.bias, "none", [], "")
        return products


def prepack(model: Any) -> Any:
    """Replaces the model's linear layers in place, except those whose weight another module uses too.

    No subclasses of `nn.Linear` either: models read their attributes.
    """
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return model
    types = [torch.float32]
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():  # otherwise oneDNN refuses bfloat16
        types.append(torch.bfloat16)
    used: dict[int, int] = {}
    for _, weight in model.named_parameters(remove_duplicate=False):
        used[weight.data_ptr()] = used.get(weight.data_ptr(), 0) + 1
    _replace(model, used, types)
    return model


def _replace(module: nn.Module, used: dict[int, int], types: list[torch.dtype]) -> None:
    for name, child in module.named_children():
        if type(child) is not nn.Linear:
            _replace(child, used, types)
        elif child.weight.dtype in types and used[child.weight.data_ptr()] == 1 and not _hooked(child):
            setattr(module, name, PrepackedLinear(child))


def _hooked(linear: nn.Linear) -> bool:
    return bool(linear._forward_hooks or linear._forward_pre_hooks)
