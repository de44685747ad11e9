"""Models of tables."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
import transformers

from tests.worker.engine.pipelines.tiny.text import LETTERS, SIZES, WORDS

POSITIONS = 96
COLUMNS = 12


def _tapas(**config: Any) -> Callable[[Path], None]:
    def save(folder: Path) -> None:
        folder.mkdir()
        special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[EMPTY]"]
        signs = LETTERS + "0123456789"
        pieces = dict.fromkeys([*special, *WORDS, *signs, *(f"##{sign}" for sign in signs)])
        (folder / "vocab.txt").write_text("\n".join(pieces))
        words = transformers.TapasTokenizer(str(folder / "vocab.txt"), model_max_length=POSITIONS)
        torch.manual_seed(7)
        configuration = transformers.TapasConfig(
            vocab_size=len(pieces),
            max_position_embeddings=POSITIONS,
            initializer_range=0.3,
            type_vocab_sizes=[3, COLUMNS, 32, 2, 64, 64, 10],
            **{**SIZES, **config},
        )
        built: Any = transformers.TapasForQuestionAnswering(configuration)
        built.eval()
        for parameter in built.parameters():
            parameter.data += 0.05 * torch.randn_like(parameter)
        # as few cells as a trained model would choose, instead of all or none
        built.output_bias.data += 2.0
        built.save_pretrained(folder)
        words.save_pretrained(folder)

    return save


BUILDERS: dict[str, Callable[[Path], None]] = {
    "table-question-answering": _tapas(
        num_aggregation_labels=4,
        aggregation_labels={0: "NONE", 1: "SUM", 2: "AVERAGE", 3: "COUNT"},
        no_aggregation_label_index=0,
    ),
    "table-question-answering-of-cells": _tapas(),
}
