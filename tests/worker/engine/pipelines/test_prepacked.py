"""Linear layers in oneDNN's order give the plain ones' products, and their weight when asked."""

import copy
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import torch
from torch import nn

from worker.engine.pipelines.prepacked import PrepackedLinear, prepack


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 0.02)])
@pytest.mark.parametrize("shape", [(1, 48), (3, 7, 48), (48,), (0, 48)])
def test_products_are_those_of_the_plain_layer(
    shape: tuple[int, ...], dtype: torch.dtype, tolerance: float, bias: bool
) -> None:
    if dtype is torch.bfloat16 and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this processor has no instructions for bfloat16, so such layers stay as they are")
    torch.manual_seed(3)
    plain = nn.Linear(48, 33, bias=bias).to(dtype)
    inputs = torch.randn(shape).to(dtype)
    with torch.inference_mode():
        packed = PrepackedLinear(copy.deepcopy(plain))
        found = packed(inputs)
        assert found.shape == (*shape[:-1], 33)
        assert torch.allclose(found, plain(inputs), atol=tolerance)
        assert torch.allclose(packed(inputs[..., :].clone()), found)


def test_a_weight_that_is_read_comes_back_as_it_was() -> None:
    plain = nn.Linear(48, 33)
    with torch.inference_mode():
        packed = PrepackedLinear(plain)
        assert torch.equal(packed.weight, plain.weight)
        assert packed._packed is None, "it is not kept twice"
        inputs = torch.randn(5, 48)
        assert torch.equal(packed(inputs), plain(inputs))


def test_a_weight_is_read_while_other_threads_compute() -> None:
    inputs = torch.randn(5, 48)
    with torch.inference_mode():
        for _ in range(50):
            packed = PrepackedLinear(nn.Linear(48, 33))
            expected = packed(inputs)

            def compute(layer: Any = packed) -> torch.Tensor:
                with torch.inference_mode():
                    found: torch.Tensor = layer(inputs)
                    return found

            with ThreadPoolExecutor(2) as threads:
                running = [threads.submit(compute) for _ in range(8)]
                assert packed.weight.shape == (33, 48)
            assert all(torch.allclose(one.result(), expected, atol=1e-5) for one in running)


@pytest.mark.parametrize("after", ["_packed", "_plain"])
def test_two_threads_read_a_weight_at_once(after: str) -> None:
    class Interrupted(PrepackedLinear):
        """Another thread reads the weight as soon as this one has looked at an attribute."""

        interrupted = False

        def __getattribute__(self, name: str) -> Any:
            value = super().__getattribute__(name)
            if name == after and not self.interrupted:
                self.interrupted = True
                assert self.weight.shape == (33, 48)
            return value

    plain = nn.Linear(48, 33)
    with torch.inference_mode():
        packed = Interrupted(plain)
        assert torch.equal(packed.weight, plain.weight)
        assert packed.interrupted


def test_bfloat16_stays_plain_where_onednn_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    model = nn.ModuleList([nn.Linear(48, 33), nn.Linear(48, 33).bfloat16()])
    with torch.inference_mode():
        prepack(model)
    assert [type(one) for one in model] == [PrepackedLinear, nn.Linear]


def test_shared_weights_and_subclasses_stay_plain() -> None:
    class Own(nn.Linear):
        pass

    model = nn.ModuleDict(
        {
            "words": nn.Embedding(33, 48),
            "head": nn.Linear(48, 33),
            "own": Own(48, 33),
            "body": nn.Sequential(nn.Linear(48, 48)),
            "float16": nn.Linear(48, 48).half(),
        }
    )
    model["head"].weight = model["words"].weight
    with torch.inference_mode():
        prepack(model)
    kinds = {name: type(module) for name, module in model.named_modules()}
    assert kinds["body.0"] is PrepackedLinear
    assert (kinds["head"], kinds["own"], kinds["float16"]) == (nn.Linear, Own, nn.Linear)
