"""`python -m bench.onnx`: exports the benchmark's model as ONNX, once, into bench/out/models."""

import sys
import warnings
from pathlib import Path
from typing import Any

import msgspec

from bench.child import answer_parent, in_child

OUT = Path(__file__).parent / "out" / "models"
NAMES = ("input_ids", "attention_mask", "token_type_ids")
OPSET = 18


class Question(msgspec.Struct):
    model: str
    target: str


def exported(model: Path) -> Path:
    """Returns the model's ONNX file; makes it if needed, in a separate process. Raises BenchError."""
    target = OUT / f"{model.parent.name}.onnx"
    if not target.exists():
        OUT.mkdir(parents=True, exist_ok=True)
        unfinished = target.with_suffix(".unfinished")
        in_child("bench.onnx", msgspec.json.encode(Question(str(model), str(unfinished))), bool, 300)
        unfinished.rename(target)
    return target


def export(question: Question) -> bool:
    """Writes the encoder, whose output is the last hidden state, for any number and length of texts."""
    import torch
    from transformers import AutoModel

    warnings.simplefilter("ignore")  # tracing warns of what the comparison of answers checks
    loaded: Any = AutoModel.from_pretrained(
        question.model, local_files_only=True, dtype=torch.float32, attn_implementation="eager"
    )
    example = torch.ones(2, 8, dtype=torch.int64)
    axes = {name: {0: "texts", 1: "tokens"} for name in (*NAMES, "last_hidden_state")}
    with torch.inference_mode():
        torch.onnx.export(
            _encoder(loaded.eval()),
            (example, example, torch.zeros_like(example)),
            question.target,
            input_names=list(NAMES),
            output_names=["last_hidden_state"],
            dynamic_axes=axes,
            opset_version=OPSET,
            dynamo=False,  # the other exporter needs a package more
        )
    return True


def _encoder(model: Any) -> Any:
    import torch

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            hidden = self.model(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            )
            return hidden[0]

    return Encoder()


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: export(given))
