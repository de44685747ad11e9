"""Writes the model card from the figures."""

from pathlib import Path
from typing import Any

_CARD = """\
---
license: apache-2.0
pipeline_tag: image-classification
---

# digits

A small classifier of handwritten digits for tests, examples and first steps: a plain
`ViTForImageClassification` of {size} kB with the labels `0` to `9`, trained from random weights.

```python
from transformers import pipeline

classify = pipeline("image-classification", model="models/digits")
classify("digit.png")
```

It reads one digit that fills the image, light on a dark ground, at any size: the image processor resizes
to 32 x 32 pixels.

## Accuracy

{share:.1f} % of {test_images} held-out images get the right digit, and {training:.1f} % of the
{training_images:,} for training. The images of one writer may be in both sets. `metrics.json` has the
figures.

## Data

The 1,797 images of 8 x 8 pixels that scikit-learn includes (`sklearn.datasets.load_digits`), the test part of
"Optical Recognition of Handwritten Digits" (E. Alpaydin and C. Kaynak, UCI Machine Learning Repository, 1998,
https://doi.org/10.24432/C50P49, CC BY 4.0). This repository contains none of the images.

## Licence

Apache License 2.0, as the rest of this repository (`LICENSE`).

## Limits

It was measured on such images only: scans of isolated digits by 13 people, reduced to 8 x 8 pixels. A
photo of something else also gets one of the ten labels.

## Reproduce

```
.venv/bin/python -m training.digits
.venv/bin/python -m training.digits --evaluate-only
```

The first command creates this folder in a few minutes on one core and needs scikit-learn. The second scores
the model in it. The seed is fixed ({seed}), but other cores or versions round differently (here: torch
{torch}, transformers {transformers}).
"""


def write(folder: Path, found: dict[str, Any]) -> None:
    """Writes README.md."""
    size = round((folder / "model.safetensors").stat().st_size / 1000)
    shares = {"share": 100 * found["test_accuracy"], "training": 100 * found["training_accuracy"]}
    (folder / "README.md").write_text(_CARD.format(size=size, **shares, **found), encoding="utf-8")
