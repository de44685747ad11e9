"""Reduces the teacher to the student: fewer layers, neurons, positions and word pieces."""

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import BertConfig, BertForSequenceClassification, PreTrainedTokenizerBase

from training.sentiment.learning import MAX_TOKENS, positive_probabilities

LAYERS = 3
NEURONS = 768


def shrink(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    pieces: Sequence[str],
    sample: Sequence[str],
) -> BertForSequenceClassification:
    """Return a smaller copy of `model`.

    It has the first layers, the neurons that add most on `sample`, the first positions, and the embeddings
    of `pieces`, in that order.
    """
    activations = _mean_activations(model, tokenizer, sample)
    old = {name: value.detach().clone() for name, value in model.state_dict().items()}
    old_ids = tokenizer.get_vocab()
    rows = torch.tensor([old_ids[piece] for piece in pieces])
    for name, keep in (
        ("word_embeddings", rows),
        ("position_embeddings", torch.arange(MAX_TOKENS)),
    ):
        key = f"bert.embeddings.{name}.weight"
        old[key] = old[key][keep]
    for layer in range(LAYERS):
        _drop_neurons(old, f"bert.encoder.layer.{layer}.", activations[layer])
    small = BertForSequenceClassification(_small_config(model.config, len(pieces)))
    small.load_state_dict({name: old[name] for name in small.state_dict()})
    return small


def _small_config(full: BertConfig, pieces: int) -> BertConfig:
    return BertConfig(
        vocab_size=pieces,
        hidden_size=full.hidden_size,
        num_hidden_layers=LAYERS,
        num_attention_heads=full.num_attention_heads,
        intermediate_size=NEURONS,
        max_position_embeddings=MAX_TOKENS,
        pad_token_id=0,
        id2label=full.id2label,
        label2id=full.label2id,
    )


def _drop_neurons(weights: dict[str, Tensor], layer: str, mean: Tensor) -> None:
    """Keep the neurons that add most to the layer's output: mean activation x output norm."""
    outward = weights[layer + "output.dense.weight"]
    order = (mean * outward.norm(dim=0)).argsort(descending=True)
    keep = order[:NEURONS].sort().values
    weights[layer + "output.dense.weight"] = outward[:, keep]
    for name in ("intermediate.dense.weight", "intermediate.dense.bias"):
        weights[layer + name] = weights[layer + name][keep]


def _mean_activations(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    sample: Sequence[str],
) -> list[Tensor]:
    """Return for each kept layer the mean absolute activation of each feed-forward neuron on `sample`."""
    sums = [torch.zeros(model.config.intermediate_size) for _ in range(LAYERS)]
    handles = []
    for layer, total in enumerate(sums):

        def add(_module: object, _inputs: object, output: Tensor, total: Tensor = total) -> None:
            total += output.float().abs().mean(dim=(0, 1))

        intermediate = model.bert.get_submodule(f"encoder.layer.{layer}.intermediate")
        handles.append(intermediate.register_forward_hook(add))
    positive_probabilities(model, tokenizer, sample)
    for handle in handles:
        handle.remove()
    return sums
