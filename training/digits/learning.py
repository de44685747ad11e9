"""Trains the vision transformer from random weights."""

import math
from collections.abc import Iterator

import torch
import transformers

from training.digits.data import Digits

SIDE = 32
"""Pixels of each side, to which the image processor resizes."""
EPOCHS = 120
BATCH = 64
LEARNING_RATE = 2e-3


def processor() -> transformers.ViTImageProcessor:
    """Returns what turns an image of any size into the model's input."""
    return transformers.ViTImageProcessor(
        size={"height": SIDE, "width": SIDE}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    )


def new_model() -> transformers.ViTForImageClassification:
    """Returns a model with random weights: 3 layers of 64 numbers for each patch of 4 x 4 pixels."""
    names = [str(digit) for digit in range(10)]
    return transformers.ViTForImageClassification(
        transformers.ViTConfig(
            image_size=SIDE,
            patch_size=4,
            hidden_size=64,
            num_hidden_layers=3,
            num_attention_heads=4,
            intermediate_size=128,
            hidden_dropout_prob=0.1,
            id2label=dict(enumerate(names)),
            label2id={name: digit for digit, name in enumerate(names)},
        )
    )


def pixels(digits: Digits) -> torch.Tensor:
    """Returns the images as the model reads them, [images, 3, SIDE, SIDE]."""
    prepared: torch.Tensor = processor()(images=digits.images, return_tensors="pt")["pixel_values"]
    return prepared


def train(digits: Digits, seed: int) -> transformers.ViTForImageClassification:
    """Returns a model that was trained on the images, each time slightly turned, moved and scaled."""
    torch.manual_seed(seed)
    model = new_model()
    model.train()
    images, labels = pixels(digits), torch.tensor(digits.labels)
    steps = EPOCHS * math.ceil(len(labels) / BATCH)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, steps)
    for part in _parts(len(labels)):
        logits = model(pixel_values=_varied(images[part])).logits
        loss = torch.nn.functional.cross_entropy(logits, labels[part], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        schedule.step()
    model.eval()  # type: ignore[no-untyped-call]
    return model


def accuracy(model: transformers.ViTForImageClassification, digits: Digits) -> float:
    """Returns the share of images whose best label is theirs."""
    with torch.inference_mode():
        found = model(pixel_values=pixels(digits)).logits.argmax(-1)
    return float((found == torch.tensor(digits.labels)).float().mean())


def _parts(count: int) -> Iterator[torch.Tensor]:
    for _ in range(EPOCHS):
        yield from torch.randperm(count).split(BATCH)  # type: ignore[no-untyped-call]


def _varied(images: torch.Tensor) -> torch.Tensor:
    """Turns by up to 10 degrees, scales by up to 15 %, moves by up to an eighth."""
    count = len(images)
    turn = (torch.rand(count) - 0.5) * math.radians(20)
    scale = 1 + (torch.rand(count) - 0.5) * 0.3
    move = (torch.rand(count, 2) - 0.5) * 0.25
    matrix = torch.zeros(count, 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = turn.cos() * scale
    matrix[:, 1, 0] = turn.sin() * scale
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    matrix[:, :, 2] = move
    grid = torch.nn.functional.affine_grid(matrix, list(images.shape), align_corners=False)
    return torch.nn.functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
