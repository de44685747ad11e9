"""Models that generate texts for texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.worker.engine.pipelines.tiny.text import LETTERS, WORDS, word_pieces

POSITIONS = 64
ENDS = [3, *range(10, 22)]
"""Tokens that end a text: many, so that random texts end at different times."""

LANGUAGES = ["eng_Latn", "fra_Latn", "deu_Latn"]

_BART = {
    "d_model": 32,
    "encoder_layers": 2,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 2,
    "encoder_ffn_dim": 48,
    "decoder_ffn_dim": 48,
    "max_position_embeddings": POSITIONS,
    "init_std": 0.2,
    "tie_word_embeddings": False,
}
_IDS = {"pad_token_id": 0, "bos_token_id": 2, "eos_token_id": 3, "decoder_start_token_id": 3}
_T5 = {
    "d_model": 32,
    "d_kv": 16,
    "d_ff": 48,
    "num_layers": 2,
    "num_heads": 2,
    "initializer_factor": 3.0,
    "feed_forward_proj": "gated-gelu",
    "tie_word_embeddings": False,
}


def _codes() -> Any:
    """A tokenizer that begins a text with the code of its language."""
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "▁", *LETTERS]
    vocabulary = {piece: i for i, piece in enumerate(pieces)}
    kind: Any = transformers.NllbTokenizer
    return kind(vocab=vocabulary, merges=[], additional_special_tokens=LANGUAGES, model_max_length=POSITIONS)


def _saved(
    model: Any,
    configuration: Any,
    config: dict[str, Any],
    tokenizer: Callable[[], Any] = lambda: word_pieces(model_max_length=POSITIONS),
    **generation: Any,
) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        torch.manual_seed(5)
        words = tokenizer()
        built = model(configuration(vocab_size=len(words), **config)).eval()
        for parameter in built.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        # a head of its own, or each text would repeat one word
        built.lm_head.weight.data = 0.5 * torch.randn_like(built.lm_head.weight)
        for name, value in {"eos_token_id": ENDS, **generation}.items():
            setattr(built.generation_config, name, value)
        built.save_pretrained(folder)
        words.save_pretrained(folder)

    return save


assert len(WORDS) > max(ENDS)

BUILDERS: dict[str, Callable[[Path], None]] = {
    "t5": _saved(
        transformers.T5ForConditionalGeneration,
        transformers.T5Config,
        {
            **_T5,
            **_IDS,
            "decoder_start_token_id": 0,
            "task_specific_params": {
                "summarization": {
                    "prefix": "we wrote : ",
                    "max_length": 9,
                    "num_beams": 2,
                    "early_stopping": True,
                },
                "translation_en_to_de": {"prefix": "the paper to london : "},
                "translation_en_to_fr": {"prefix": "the paper to paris : "},
            },
        },
    ),
    "bart": _saved(
        transformers.BartForConditionalGeneration,
        transformers.BartConfig,
        {**_BART, **_IDS},
        max_length=20,
        num_beams=1,
    ),
    "marian": _saved(
        transformers.MarianMTModel,
        transformers.MarianConfig,
        {**_BART, **_IDS, "decoder_start_token_id": 0},
        bad_words_ids=[[0]],
    ),
    "nllb": _saved(
        transformers.M2M100ForConditionalGeneration,
        transformers.M2M100Config,
        {**_BART, "pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2},
        _codes,
        eos_token_id=[2, 8, 9, 10],
        max_length=12,
    ),
}
