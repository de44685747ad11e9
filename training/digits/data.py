"""The digits of scikit-learn: 1,797 greyscale images of 8 x 8 pixels, 0 (paper) to 16 (ink)."""

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import PIL.Image

TEST_SHARE = 0.2


@dataclass(frozen=True)
class Digits:
    """Images with the digits that they show."""

    images: list[PIL.Image.Image]
    labels: list[int]


@cache
def divide() -> tuple[Digits, Digits]:
    """Returns the training and the test set; both have the same share of each digit."""
    from sklearn import datasets, model_selection  # seconds, which a process that only collects tests saves

    loaded = datasets.load_digits()
    places = np.arange(len(loaded.target))
    train, test = model_selection.train_test_split(
        places, test_size=TEST_SHARE, random_state=0, stratify=loaded.target
    )
    return _chosen(loaded, train), _chosen(loaded, test)


def _chosen(loaded: Any, places: np.ndarray) -> Digits:
    return Digits([image(loaded.images[at]) for at in places], [int(loaded.target[at]) for at in places])


def image(values: np.ndarray) -> PIL.Image.Image:
    """Returns 8 x 8 values from 0 to 16 as an image: white ink on black."""
    return PIL.Image.fromarray(np.clip(values * 255 / 16, 0, 255).astype(np.uint8)).convert("RGB")
