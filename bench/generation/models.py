"""The measured model: a Llama of 6 layers x 256 with random weights, made once in bench/out/models.

Random weights do not change its speed. Each token is a word of the benchmark's texts and no token ends a
text, so every prompt gets exactly as many tokens as its limit, and a text can be split into its tokens again.
"""

import tempfile
from pathlib import Path
from typing import Any

from bench.texts import vocabulary

OUT = Path(__file__).parents[1] / "out" / "models"
NAME = "llama-6x256"


def folder() -> Path:
    """Returns the model's folder; makes it if needed."""
    target = OUT / NAME
    if not target.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=OUT, ignore_cleanup_errors=True) as unfinished:
            _make(Path(unfinished))
            Path(unfinished).rename(target)
    return target


def _make(target: Path) -> None:
    import tokenizers
    import torch
    import transformers

    words = sorted({word.lower() for word in vocabulary()})
    tokenizer = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[0])
    )
    tokenizer.normalizer = tokenizers.normalizers.Lowercase()
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.WhitespaceSplit()
    fast: Any = transformers.PreTrainedTokenizerFast
    fast(tokenizer_object=tokenizer, clean_up_tokenization_spaces=False).save_pretrained(target)
    sizes: dict[str, Any] = {
        "vocab_size": len(words),
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "intermediate_size": 1024,
        "max_position_embeddings": 512,
        "bos_token_id": None,
        "eos_token_id": None,
        "pad_token_id": None,
    }
    torch.manual_seed(3)
    model = transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes))
    model.generation_config.do_sample = False
    model.save_pretrained(target)
