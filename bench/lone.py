"""`python -m bench.lone`: the rate of lone texts with ONNX Runtime, offline: the fastest lone pass of a CPU.

The same as the ceiling's batches of one (`bench/ceiling.py`): tokenising, a forward pass and pooling, without
Batchline's code and without waiting for anybody. With torch much of a lone pass is Python and short
operations; the ceiling has that rate.
"""

import sys
import time
from typing import Any

import msgspec

from bench import onnx
from bench.ceiling import model_folder
from bench.child import answer_parent, in_child
from bench.errors import BenchError
from bench.serving import COSINE, cosine


class Question(msgspec.Struct):
    model: str
    exported: str
    """The model's ONNX file."""
    texts: list[str]
    sample: dict[int, list[float]]
    """Index of a text -> its embedding by torch; another one is an error."""


def rate(texts: list[str], sample: dict[int, list[float]]) -> float:
    """Returns texts per second, one after the other, in a separate process. Raises BenchError."""
    model = model_folder()
    question = Question(str(model), str(onnx.exported(model)), texts, sample)
    return in_child("bench.lone", msgspec.json.encode(question), float, 300)


def measure(question: Question) -> float:
    import numpy
    import onnxruntime
    from transformers import AutoTokenizer

    tokenizer: Any = AutoTokenizer.from_pretrained(question.model, local_files_only=True)
    session = onnxruntime.InferenceSession(question.exported, providers=["CPUExecutionProvider"])

    def embed(text: str) -> Any:
        encoded = tokenizer([text], truncation=True, return_tensors="np")
        inputs = {name: encoded[name].astype(numpy.int64) for name in onnx.NAMES}
        return session.run(None, inputs)[0][0].mean(axis=0)

    for number, expected in question.sample.items():
        if cosine(embed(question.texts[number]).tolist(), expected) < COSINE:
            raise BenchError(f"text {number}: ONNX Runtime's embedding differs from torch's")
    began = time.perf_counter()
    for text in question.texts:
        embed(text)
    return len(question.texts) / (time.perf_counter() - began)


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: measure(given))
