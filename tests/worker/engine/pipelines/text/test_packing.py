"""Rows end to end give the answers that each gives by itself, and the model is what it was without them."""

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tests.worker.engine.pipelines.conftest import ModelFolder, load
from worker.engine.pipelines.parallel import Lanes
from worker.engine.pipelines.text import packing

WORDS = ["the", "bridge", "paper", "and", "engine", "of", "river", "town", "house", "letter", "in", "spring"]

lengths = st.lists(st.integers(1, 20), min_size=1, max_size=12)


@pytest.fixture(scope="module")
def embed(model_folder: ModelFolder) -> Any:
    return load(model_folder("feature-extraction"), "feature-extraction")


def texts_of(words: list[int]) -> list[str]:
    return [" ".join(WORDS[(i + j) % len(WORDS)] for j in range(count)) for i, count in enumerate(words)]


@given(words=lengths, lanes=st.sampled_from([Lanes(1), Lanes(2), Lanes(3)]))
def test_any_rows(embed: Any, words: list[int], lanes: Lanes) -> None:
    embed._lanes = lanes
    texts = texts_of(words)
    alone = [embed.run([text], {})[0] for text in texts]
    for one, other in zip(embed.run(texts, {}), alone, strict=True):
        assert torch.allclose(torch.tensor(one), torch.tensor(other), atol=1e-5)


def test_positions_that_begin_late(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("roberta"), "text-classification")
    texts = texts_of([3, 20, 9])
    alone = [pipeline.run([text], {"function_to_apply": "none"})[0] for text in texts]
    for one, other in zip(pipeline.run(texts, {"function_to_apply": "none"}), alone, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_a_word_that_looks_like_padding(model_folder: ModelFolder) -> None:
    """RoBERTa and related models give it no position."""
    pipeline = load(model_folder("roberta"), "text-classification")
    texts = ["the [PAD] bridge", "we waited in the town and the engine was late", "[PAD]"]
    alone = [pipeline.run([text], {"function_to_apply": "none"})[0] for text in texts]
    for one, other in zip(pipeline.run(texts, {"function_to_apply": "none"}), alone, strict=True):
        assert one["score"] == pytest.approx(other["score"], abs=1e-5)


def test_positions_that_turn_with_the_longest_text_are_computed_one_after_the_other(
    model_folder: ModelFolder,
) -> None:
    pipeline: Any = load(model_folder("longrope-features"), "feature-extraction")
    assert pipeline._lanes is None
    texts = texts_of([3, 200])  # longer than the samples, and than where the turns change
    alone = [pipeline.run([text], {})[0] for text in texts]
    for one, other in zip(pipeline.run(texts, {}), alone, strict=True):
        assert torch.allclose(torch.tensor(one), torch.tensor(other), atol=1e-5)


@pytest.mark.parametrize("more", ["sliding_window", "softcap", "position_bias"])
def test_an_attention_that_looks_at_more_is_refused(more: str) -> None:
    states = torch.ones(1, 1, 3, 4)
    with packing.packed([1, 2]), pytest.raises(packing.CannotPackError, match="uses more than queries"):
        packing._attend(torch.nn.Identity(), states, states, states, None, **{more: 4})


def test_a_large_batch_is_dealt_out_to_the_lanes(embed: Any) -> None:
    embed._lanes = Lanes(2)
    prepared = embed.prepare(texts_of([18] * 5 + [3] * 30), {})
    assert [sum(one.lengths) for one in prepared.work.passes] == [125, 125]
    assert prepared.tokens == prepared.padded == 250
    small = embed.prepare(texts_of([18] * 5), {})
    assert len(small.work.passes) == 1, "too little for two"


def test_rows_of_one_length_are_a_rectangle(embed: Any) -> None:
    [one] = embed.prepare(texts_of([4, 4, 4]), {}).work.passes
    assert one.tensors["input_ids"].shape == (3, 6)
    assert not one.packed


def test_without_it_the_model_pads_as_ever(embed: Any, model_folder: ModelFolder) -> None:
    texts = texts_of([2, 9])
    packed = embed.run(texts, {})
    embed.layout = "padded"
    try:
        [one] = embed.prepare(texts, {}).work.passes
        assert one.tensors["input_ids"].shape == (2, 11)
        assert torch.allclose(torch.tensor(embed.run(texts, {})[0]), torch.tensor(packed[0]), atol=1e-5)
    finally:
        embed.layout = "packed"


def test_a_refused_model_is_as_it_was(model_folder: ModelFolder) -> None:
    pipeline: Any = load(model_folder("gpt2-classifier"), "text-classification")
    assert pipeline.layout == "padded"
    assert pipeline.model.config._attn_implementation == "sdpa"
    assert not any(module._forward_hooks for module in pipeline.model.modules())


def test_a_window_on_a_row_is_refused(model_folder: ModelFolder) -> None:
    """Also if no trial text is longer than the window."""
    pipeline: Any = load(model_folder("modernbert-features"), "feature-extraction")
    undo = packing.make_ready(pipeline.model, first_tokens=False)
    assert undo is not None
    ids = torch.tensor([[2, 5, 3, 2, 3]])
    with packing.packed([3, 2]), pytest.raises(packing.CannotPackError, match="unsupported mask"):
        pipeline.model(input_ids=ids, position_ids=torch.tensor([[0, 1, 2, 0, 1]]))
    undo()
