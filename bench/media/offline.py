"""`python -m bench.media.offline`: plain transformers in its own process, all inputs known in advance.

`transformers.pipeline` with each batch size; the fastest counts. The time includes decoding.
"""

import io
import sys
import time
from collections.abc import Iterator
from typing import Any

import msgspec

from bench.child import answer_parent, in_child
from bench.media import models

SIZES = (1, 2, 4, 8, 16, 32)

RATE = 16_000
"""Samples a second, as Whisper reads them."""


class Question(msgspec.Struct):
    name: str
    inputs: list[bytes]
    sizes: list[int]


class Offline(msgspec.Struct):
    threads: int
    seconds: dict[int, float]
    """Batch size -> seconds for all inputs."""
    answers: list[str]
    """The label or text of each input, computed alone."""

    @property
    def best(self) -> int:
        return min(self.seconds, key=self.seconds.__getitem__)


def run(name: str, inputs: list[bytes], sizes: tuple[int, ...] = SIZES) -> Offline:
    """Measures in a separate process. Raises BenchError."""
    question = Question(name, inputs, list(sizes))
    return in_child("bench.media.offline", msgspec.json.encode(question), Offline, 900)


def again(name: str, inputs: list[bytes], before: Offline) -> Offline:
    """Measures the best size again and uses the mean of both, because machine speed varies within a run."""
    after = run(name, inputs, (before.best,))
    mean = (before.seconds[before.best] + after.seconds[before.best]) / 2
    return msgspec.structs.replace(before, seconds=before.seconds | {before.best: mean})


def measure(question: Question) -> Offline:
    """Measures here."""
    import torch
    import transformers

    transformers.utils.logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    task = models.TASKS[question.name]
    pipeline: Any = transformers.pipeline(
        task, model=str(models.folder(question.name)), device="cpu", dtype=torch.float32
    )  # type: ignore[call-overload]
    decoded = {"photo": _image, "speech": _sound}[question.name]
    options: Any = {"photo": {}, "speech": {"generate_kwargs": {"num_beams": 1}}}[question.name]

    def everything(size: int, inputs: list[bytes]) -> list[str]:
        def opened() -> Iterator[Any]:
            for one in inputs:
                yield decoded(one)

        return [_answer(output) for output in pipeline(opened(), batch_size=size, **options)]

    seconds: dict[int, float] = {}
    answers: list[str] = []
    for size in question.sizes:
        everything(size, question.inputs[:size])
        began = time.perf_counter()
        found = everything(size, question.inputs)
        seconds[size] = time.perf_counter() - began
        answers = answers or found
    return Offline(torch.get_num_threads(), seconds, answers)


def _image(data: bytes) -> Any:
    import PIL.Image

    return PIL.Image.open(io.BytesIO(data)).convert("RGB")


def _sound(data: bytes) -> Any:
    import soundfile
    import soxr

    samples, rate = soundfile.read(io.BytesIO(data), dtype="float32")
    # transformers would resample with torchaudio, which is not installed
    return {"raw": soxr.resample(samples, rate, RATE), "sampling_rate": RATE}


def _answer(output: Any) -> str:
    return str(output[0]["label"] if isinstance(output, list) else output["text"])


if __name__ == "__main__":
    given = msgspec.json.decode(sys.stdin.buffer.read(), type=Question)
    answer_parent(lambda: measure(given))
