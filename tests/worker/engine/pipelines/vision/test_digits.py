"""models/digits, the small classifier in this repository, reads digits that it has not seen."""

import io
from pathlib import Path
from typing import Any

import PIL.Image

from tests.worker.engine.pipelines.conftest import load
from training.digits import data

FOLDER = Path(data.__file__).parents[2] / "models" / "digits"


def png(image: PIL.Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


def test_held_out_digits_are_read() -> None:
    pipeline: Any = load(FOLDER, "image-classification")
    _, test = data.divide()
    outputs = pipeline.run([png(image) for image in test.images], {"top_k": 1})
    right = sum(output[0]["label"] == str(label) for output, label in zip(outputs, test.labels, strict=True))
    assert right >= 0.95 * len(test.labels)


def test_a_larger_picture_of_a_digit_is_read_too() -> None:
    pipeline: Any = load(FOLDER, "image-classification")
    _, test = data.divide()
    large = [png(image.resize((300, 280))) for image in test.images[:50]]
    outputs = pipeline.run(large, {"top_k": 1})
    right = sum(output[0]["label"] == str(label) for output, label in zip(outputs, test.labels, strict=False))
    assert right >= 45
