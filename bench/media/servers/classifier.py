"""The image classifier as a user of transformers would write it."""

import base64
import io
import os
from typing import Any

import PIL.Image
import torch
import transformers

PORT = int(os.environ.get("PEER_PORT", "0"))
SIZE = int(os.environ.get("PEER_SIZE", "1"))
WAIT = float(os.environ.get("PEER_WAIT", "0"))


_processors: Any = transformers.AutoImageProcessor


class Classifier:
    """Base64 of images -> labels."""

    def __init__(self) -> None:
        folder = os.environ["PEER_MODEL"]
        self.processor: Any = _processors.from_pretrained(folder)
        self.model: Any = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()

    def decode(self, text: str) -> Any:
        return PIL.Image.open(io.BytesIO(base64.b64decode(text))).convert("RGB")

    def __call__(self, images: list[Any]) -> list[list[dict[str, Any]]]:
        with torch.inference_mode():
            logits = self.model(**self.processor(images=images, return_tensors="pt")).logits
        scores, labels = logits.softmax(-1).topk(5)
        names = self.model.config.id2label
        return [
            [{"label": names[int(at)], "score": float(score)} for at, score in zip(row, values, strict=True)]
            for row, values in zip(labels, scores, strict=True)
        ]
