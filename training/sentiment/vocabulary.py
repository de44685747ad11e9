"""Chooses the word pieces that the student keeps, and rewrites the tokenizer to match."""

import json
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# all letters, digits and punctuation are kept, so that every word can be spelt from them
_CHARACTERS = string.ascii_lowercase + string.digits + string.punctuation


def choose(tokenizer_file: Path, texts: Sequence[str], size: int) -> list[str]:
    """Return the `size` pieces to keep, in their new order.

    Special tokens come first, then single characters, then the pieces that are most frequent in `texts`;
    equally frequent pieces keep their old order, in which more common pieces come first.
    """
    tokenizer = Tokenizer.from_file(str(tokenizer_file))
    tokenizer.no_padding()
    old_ids = tokenizer.get_vocab()
    used: Counter[str] = Counter()
    for encoding in tokenizer.encode_batch(list(texts), add_special_tokens=False):
        used.update(encoding.tokens)
    singles = [prefix + each for prefix in ("", "##") for each in _CHARACTERS]
    first = [*SPECIAL, *(piece for piece in singles if piece in old_ids)]
    rest = sorted(old_ids.keys() - set(first), key=lambda piece: (-used[piece], old_ids[piece]))
    return [*first, *rest[: size - len(first)]]


def rewrite(old: dict[str, Any], pieces: Sequence[str], max_tokens: int) -> dict[str, Any]:
    """Return the contents of tokenizer.json for `pieces`, numbered from 0, without fixed padding."""
    new: dict[str, Any] = json.loads(json.dumps(old))
    ids = {piece: number for number, piece in enumerate(pieces)}
    new["model"]["vocab"] = ids
    for token in new["added_tokens"]:
        token["id"] = ids[token["content"]]
    new["added_tokens"].sort(key=lambda token: token["id"])
    for token in new["post_processor"]["special_tokens"].values():
        token["ids"] = [ids[name] for name in token["tokens"]]
    new["padding"] = None
    new["truncation"]["max_length"] = max_tokens
    return new


def settings(max_tokens: int) -> dict[str, Any]:
    """Return the contents of tokenizer_config.json."""
    names = {token[1:-1].lower() + "_token": token for token in SPECIAL}
    return {
        "tokenizer_class": "BertTokenizer",
        "do_lower_case": True,
        "strip_accents": None,
        "tokenize_chinese_chars": True,
        "model_max_length": max_tokens,
        **names,
    }
