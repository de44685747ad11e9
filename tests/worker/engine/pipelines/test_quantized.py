"""Linear layers in integers: near to float32, and blind to their neighbours."""

from typing import Any

import pytest
import torch

from jobs.errors import ConfigurationError
from tests.worker.engine.pipelines.conftest import ModelFolder, load
from worker.engine.pipelines.quantized import Int8Linear, quantize


@pytest.fixture
def rows() -> torch.Tensor:
    """Of very different sizes, as activations are: one scale for all would drown the small ones."""
    torch.manual_seed(3)
    return torch.randn(4, 64) * torch.tensor([[0.01], [1.0], [100.0], [0.0]])


@pytest.mark.parametrize("bias", [True, False])
@torch.inference_mode()
def test_it_is_near_to_float32(rows: torch.Tensor, bias: bool) -> None:
    torch.manual_seed(4)
    linear = torch.nn.Linear(64, 48, bias=bias)
    near = torch.cosine_similarity(Int8Linear(linear)(rows), linear(rows))
    assert (near[:3] > 0.999).all()
    assert torch.equal(Int8Linear(linear)(rows)[3], linear(rows)[3])


@torch.inference_mode()
def test_a_row_does_not_see_its_neighbours(rows: torch.Tensor) -> None:
    linear = Int8Linear(torch.nn.Linear(64, 48))
    alone = torch.cat([linear(row[None]) for row in rows])
    assert torch.equal(linear(rows), alone)
    assert torch.equal(linear(rows.reshape(2, 2, 64)), alone.reshape(2, 2, 48))


def test_only_plain_linear_layers_are_replaced() -> None:
    attention = torch.nn.MultiheadAttention(8, 2)  # its output layer is one of torch's own kind
    model = quantize(torch.nn.Sequential(torch.nn.Linear(8, 8), attention, torch.nn.LayerNorm(8)))
    kinds = [type(module).__name__ for module in model.modules()]
    assert kinds.count("Int8Linear") == 1
    assert "NonDynamicallyQuantizableLinear" in kinds


def test_a_model_in_integers(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("text-classification"), "text-classification", dtype="int8")
    assert pipeline.info.dtype == "int8"
    assert pipeline.layout == "packed"
    assert any(isinstance(module, Int8Linear) for module in pipeline.model.modules())
    exact = load(model_folder("text-classification"), "text-classification")
    texts = ["good", "the engine of the town was late and the bridge closed in winter"]
    for one, other in zip(pipeline.run(texts, {"top_k": 1}), exact.run(texts, {"top_k": 1}), strict=True):
        assert one[0]["label"] == other[0]["label"]
        assert one[0]["score"] == pytest.approx(other[0]["score"], abs=0.05)


def test_integers_are_for_the_cpu(model_folder: ModelFolder) -> None:
    folder = model_folder("text-classification")
    with pytest.raises(
        ConfigurationError, match="model 'tiny': int8 runs only on the CPU; on meta use bfloat16"
    ):
        load(folder, "text-classification", dtype="int8", device="meta")
