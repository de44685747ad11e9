"""Writes the model folder that `transformers` loads; `evaluate` scores it."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import BertForSequenceClassification

from training.sentiment import vocabulary
from training.sentiment.learning import MAX_TOKENS

# readable by everyone: the server may run as another user
_MODE = 0o644


def write_tokenizer(folder: Path, old_tokenizer: Path, pieces: Sequence[str]) -> None:
    """Write tokenizer.json and tokenizer_config.json for the kept word pieces."""
    folder.mkdir(parents=True, exist_ok=True)
    old: dict[str, Any] = json.loads(old_tokenizer.read_text(encoding="utf-8"))
    new = vocabulary.rewrite(old, pieces, MAX_TOKENS)
    write_json(folder / "tokenizer.json", new, indent=None)
    write_json(folder / "tokenizer_config.json", vocabulary.settings(MAX_TOKENS))


def write_model(folder: Path, model: BertForSequenceClassification) -> None:
    """Write config.json and model.safetensors: stored in float16, to be run in float32."""
    tensors = {
        name: value.detach().to(torch.float16).contiguous()
        for name, value in model.state_dict().items()
        if value.is_floating_point()
    }
    config = model.config.to_diff_dict()
    config.pop("_name_or_path", None)
    # otherwise the model would also run in the stored half precision
    config |= {"architectures": ["BertForSequenceClassification"], "dtype": "float32"}
    write_json(folder / "config.json", config)
    weights = folder / "model.safetensors"
    save_file(tensors, weights, metadata={"format": "pt"})
    weights.chmod(_MODE)


def write_json(path: Path, content: dict[str, Any], indent: int | None = 2) -> None:
    """Write `content` as readable JSON; `indent` None is for large vocabularies."""
    text = json.dumps(content, indent=indent, ensure_ascii=False)
    write_text(path, text + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file that everyone can read."""
    path.write_text(text, encoding="utf-8")
    path.chmod(_MODE)
