"""Models of texts."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

WORDS = """
    the a of in and to is was not it we they one two good bad fine broken late early
    parcel bridge paper engine river town house letter evening spring water light road winter
    arrived opened closed asked met spoke read wrote waited london paris anna example this . , ! ?
""".split()  # noqa: SIM905
LETTERS = "abcdefghijklmnopqrstuvwxyz"
POSITIONS = 48
LONG = 512

SIZES = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 48}
# Weights far larger than usual, so that every token shows in every answer.
_BERT = {**SIZES, "max_position_embeddings": POSITIONS, "initializer_range": 0.3}
_GPT2 = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": POSITIONS, "initializer_range": 0.3}
_LLAMA = {
    **_BERT,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "bos_token_id": None,
    "eos_token_id": 0,
    "pad_token_id": None,
}
_NER = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
_NLI = {0: "contradiction", 1: "neutral", 2: "entailment"}
_NLI_IDS = {label: i for i, label in _NLI.items()}


_Fast: Any = transformers.PreTrainedTokenizerFast


def word_pieces(**options: Any) -> Any:
    """A BERT-like tokenizer: known words whole, others letter by letter."""
    special = ["[PAD]", unknown := "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    pieces = [*special, *WORDS, *LETTERS, *(f"##{letter}" for letter in LETTERS)]
    vocabulary = {piece: i for i, piece in enumerate(dict.fromkeys(pieces))}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[(name, vocabulary[name]) for name in ("[CLS]", "[SEP]")],
    )
    roles = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    return _Fast(
        tokenizer_object=tokenizer,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **{**dict(zip(roles, special, strict=True)), **options},
    )


def words_only(**options: Any) -> Any:
    """A GPT-like tokenizer: no padding token, nothing added to a text."""
    end, unknown = "<end>", "<unk>"
    vocabulary = {word: i for i, word in enumerate([end, unknown, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=unknown))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    return _Fast(
        tokenizer_object=tokenizer,
        unk_token=unknown,
        eos_token=end,
        model_input_names=["input_ids", "attention_mask"],
        **options,
    )


def _bert(model: Any, **config: Any) -> Callable[[Path], None]:
    return _saved(model, transformers.BertConfig, word_pieces, {**_BERT, **config}, POSITIONS)


def _gpt2(model: Any, **config: Any) -> Callable[[Path], None]:
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    return _saved(model, transformers.GPT2Config, words_only, {**_GPT2, **ends, **config}, None)


def _saved(
    model: Any,
    configuration: Any,
    tokenizer: Callable[..., Any],
    config: dict[str, Any],
    length: int | None,
) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        torch.manual_seed(11)
        words = tokenizer(**({} if length is None else {"model_max_length": length}))
        built = model(configuration(vocab_size=len(words), **config)).eval()
        # Biases start as zeros and norms as ones, which would hide a mistake with them.
        for parameter in built.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        built.save_pretrained(folder)
        words.save_pretrained(folder)

    return save


BUILDERS: dict[str, Callable[[Path], None]] = {
    "text-classification": _bert(transformers.BertForSequenceClassification, num_labels=3),
    "regression": _bert(transformers.BertForSequenceClassification, num_labels=1),
    "text-ranking": _bert(transformers.BertForSequenceClassification, num_labels=1),
    "text-ranking-raw": _bert(
        transformers.BertForSequenceClassification,
        num_labels=1,
        sentence_transformers={"activation_fn": "torch.nn.modules.linear.Identity"},
    ),
    "question-answering": _bert(transformers.BertForQuestionAnswering),
    "token-classification": _bert(transformers.BertForTokenClassification, id2label=_NER),
    "feature-extraction": _bert(transformers.BertModel),
    "zero-shot-classification": _bert(
        transformers.BertForSequenceClassification,
        id2label=_NLI,
        label2id=_NLI_IDS,
    ),
    "fill-mask": _bert(transformers.BertForMaskedLM),
    "text-generation": _gpt2(transformers.GPT2LMHeadModel),
    "text-generation-at-length": _gpt2(transformers.GPT2LMHeadModel, n_positions=1024, eos_token_id=None),
    "text-generation-that-ends": _gpt2(transformers.GPT2LMHeadModel, eos_token_id=list(range(2, 20))),
    "llama": _saved(transformers.LlamaForCausalLM, transformers.LlamaConfig, words_only, _LLAMA, None),
    # What makes continuous batching hard: windows in all layers or some, states instead of keys and values,
    # and positions that depend on the longest row.
    "mistral-with-windows": _saved(
        transformers.MistralForCausalLM,
        transformers.MistralConfig,
        words_only,
        {**_LLAMA, "sliding_window": 6},
        None,
    ),
    "olmo-with-some-windows": _saved(
        transformers.Olmo3ForCausalLM,
        transformers.Olmo3Config,
        words_only,
        {**_LLAMA, "sliding_window": 6, "layer_types": ["sliding_attention", "full_attention"]},
        None,
    ),
    "mamba": _saved(
        transformers.MambaForCausalLM,
        transformers.MambaConfig,
        words_only,
        {"hidden_size": 32, "num_hidden_layers": 2, "state_size": 4, "eos_token_id": 0},
        None,
    ),
    "llama-with-moving-positions": _saved(
        transformers.LlamaForCausalLM,
        transformers.LlamaConfig,
        words_only,
        {**_LLAMA, "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}},
        None,
    ),
    # What makes batching hard: positions that start late, and padding that the model can't tell.
    "roberta": _saved(
        transformers.RobertaForSequenceClassification,
        transformers.RobertaConfig,
        word_pieces,
        {**_BERT, "pad_token_id": 0, "type_vocab_size": 2},
        None,
    ),
    "roberta-ranking": _saved(
        transformers.RobertaForSequenceClassification,
        transformers.RobertaConfig,
        word_pieces,
        {**_BERT, "pad_token_id": 0, "type_vocab_size": 2, "num_labels": 1},
        None,
    ),
    "fnet": _saved(
        transformers.FNetForSequenceClassification,
        transformers.FNetConfig,
        word_pieces,
        {**_BERT, "type_vocab_size": 2},
        POSITIONS,
    ),
    "fnet-nli": _saved(
        transformers.FNetForSequenceClassification,
        transformers.FNetConfig,
        word_pieces,
        {**_BERT, "type_vocab_size": 2, "id2label": _NLI, "label2id": _NLI_IDS},
        POSITIONS,
    ),
    "gpt2-classifier": _gpt2(transformers.GPT2ForSequenceClassification, num_labels=3, pad_token_id=1),
    "gpt2-classifier-without-pad": _gpt2(transformers.GPT2ForSequenceClassification, num_labels=3),
    "gpt2-features": _gpt2(transformers.GPT2Model),
    # What makes packing hard: positions that turn the states, heads that share keys, one layer for all,
    # and windows that hide a part of a row from the rest of it.
    "distilbert": _saved(
        transformers.DistilBertForSequenceClassification,
        transformers.DistilBertConfig,
        words_only,
        {
            "dim": 32,
            "n_layers": 2,
            "n_heads": 2,
            "hidden_dim": 48,
            "max_position_embeddings": POSITIONS,
            "initializer_range": 0.3,
        },
        POSITIONS,
    ),
    "albert-features": _saved(
        transformers.AlbertModel,
        transformers.AlbertConfig,
        word_pieces,
        {**_BERT, "embedding_size": 16},
        POSITIONS,
    ),
    "llama-features": _saved(
        transformers.LlamaModel,
        transformers.LlamaConfig,
        words_only,
        {**_BERT, "num_attention_heads": 4, "num_key_value_heads": 2},
        POSITIONS,
    ),
    # For texts longer than the samples, which are 29 and 331 of these tokens. What cannot be seen in short
    # texts is here: embeddings scaled by a row's share of masks, and turns that depend on the longest text.
    "esm": _saved(
        transformers.EsmForMaskedLM,
        transformers.EsmConfig,
        word_pieces,
        {
            **_BERT,
            "max_position_embeddings": 512,
            "pad_token_id": 0,
            "mask_token_id": 4,
            "token_dropout": True,
            "position_embedding_type": "rotary",
        },
        LONG,
    ),
    "longrope-features": _saved(
        transformers.LlamaModel,
        transformers.LlamaConfig,
        words_only,
        {
            **_BERT,
            "max_position_embeddings": LONG,
            "rope_parameters": {
                "rope_type": "longrope",
                "rope_theta": 1e4,
                "short_factor": [1.0] * 8,
                "long_factor": [4.0] * 8,
                "factor": 4.0,
                "original_max_position_embeddings": 150,
            },
        },
        LONG,
    ),
    "long-fnet": _saved(
        transformers.FNetForSequenceClassification,
        transformers.FNetConfig,
        word_pieces,
        {**_BERT, "type_vocab_size": 2, "max_position_embeddings": LONG},
        LONG,
    ),
    "long-modernbert-features": _saved(
        transformers.ModernBertModel,
        transformers.ModernBertConfig,
        word_pieces,
        {
            **_BERT,
            "pad_token_id": 0,
            "local_attention": 8,
            "global_attn_every_n_layers": 2,
            "max_position_embeddings": LONG,
        },
        LONG,
    ),
    "modernbert-features": _saved(
        transformers.ModernBertModel,
        transformers.ModernBertConfig,
        word_pieces,
        {**_BERT, "pad_token_id": 0, "local_attention": 8, "global_attn_every_n_layers": 2},
        POSITIONS,
    ),
}
