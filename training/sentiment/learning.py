"""Fits a classifier to soft targets, and computes a classifier's probabilities."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional
from transformers import BertForSequenceClassification, PreTrainedTokenizerBase

MAX_TOKENS = 128
_BATCH = 32
# batches of similar lengths are formed within pools of this size, to reduce padding
_POOL = 16 * _BATCH
_WARM_UP_SHARE = 0.1
_WEIGHT_DECAY = 0.01
_CLIP_NORM = 1.0


@dataclass(frozen=True)
class Example:
    """A text and its target probability of POSITIVE."""

    text: str
    target: float


def fit(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    examples: Sequence[Example],
    *,
    epochs: int,
    learning_rate: float,
    seed: int,
    name: str,
) -> None:
    """Train in place with AdamW; the rate warms up over the first tenth, then falls linearly to zero."""
    torch.manual_seed(seed)
    order = random.Random(seed)
    token_ids = _encode(tokenizer, [example.text for example in examples])
    parameters = [each for each in model.parameters() if each.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=learning_rate, weight_decay=_WEIGHT_DECAY)
    steps = epochs * -(-len(examples) // _BATCH)
    warm_up = int(steps * _WARM_UP_SHARE)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(step / warm_up, (steps - step) / (steps - warm_up))
    )
    targets = torch.tensor([example.target for example in examples])
    model.train()
    for epoch in range(epochs):
        started, total = time.perf_counter(), 0.0
        for batch in _shuffled_batches([len(ids) for ids in token_ids], order):
            positive = targets[batch]
            logits = _logits(model, tokenizer, [token_ids[index] for index in batch])
            loss = functional.cross_entropy(logits, torch.stack([1 - positive, positive], dim=1))
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(parameters, _CLIP_NORM)
            optimizer.step()
            schedule.step()
            total += loss.item() * len(batch)
        seconds = time.perf_counter() - started
        mean = total / len(examples)
        print(f"{name}: epoch {epoch + 1}/{epochs}, loss {mean:.4f}, {seconds:.0f} s", flush=True)
    model.eval()  # type: ignore[no-untyped-call]


@torch.no_grad()
def positive_probabilities(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    *,
    exact: bool = False,
) -> list[float]:
    """Return the probability of POSITIVE for each text, in order; `exact` uses the model's own dtype."""
    model.eval()  # type: ignore[no-untyped-call]
    token_ids = _encode(tokenizer, texts)
    by_length = sorted(range(len(texts)), key=lambda index: len(token_ids[index]))
    answers = [0.0] * len(texts)
    for start in range(0, len(texts), _BATCH):
        batch = by_length[start : start + _BATCH]
        logits = _logits(model, tokenizer, [token_ids[index] for index in batch], exact=exact)
        for index, value in zip(batch, logits.softmax(dim=1)[:, 1].tolist(), strict=True):
            answers[index] = value
    return answers


def _encode(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str]) -> list[list[int]]:
    encoded = tokenizer(list(texts), truncation=True, max_length=MAX_TOKENS, padding=False)
    return list(encoded["input_ids"])


def _logits(
    model: BertForSequenceClassification,
    tokenizer: PreTrainedTokenizerBase,
    token_ids: list[list[int]],
    *,
    exact: bool = False,
) -> Tensor:
    padded = tokenizer.pad({"input_ids": token_ids}, pad_to_multiple_of=8, return_tensors="pt")
    with torch.autocast("cpu", torch.bfloat16, enabled=FAST_BFLOAT16 and not exact):
        output = model(input_ids=padded["input_ids"], attention_mask=padded["attention_mask"])
    logits: Tensor = output.logits.float()
    return logits


def _shuffled_batches(lengths: list[int], order: random.Random) -> Iterator[list[int]]:
    indices = list(range(len(lengths)))
    order.shuffle(indices)
    batches: list[list[int]] = []
    for start in range(0, len(indices), _POOL):
        pool = sorted(indices[start : start + _POOL], key=lengths.__getitem__)
        batches += [pool[at : at + _BATCH] for at in range(0, len(pool), _BATCH)]
    order.shuffle(batches)
    return iter(batches)


def _has_bfloat16() -> bool:
    """Return whether the cores multiply bfloat16 in hardware; emulation is slower than float32."""
    try:
        flags = Path("/proc/cpuinfo").read_text()
    except OSError:
        return False
    return "avx512_bf16" in flags or "amx_bf16" in flags


FAST_BFLOAT16 = _has_bfloat16()
