"""`python -m bench.linears`: forward passes with plain linear layers and with prepacked ones, in turn.

An image classifier (ViT-Tiny), MiniLM and one step of a small Llama, with one thread and with all.
"""

import argparse
import copy
import itertools
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

from bench import machine
from bench.command import exit_status
from bench.media import models

SIZES = (1, 4, 16)
TOKENS = 32
"""Tokens of each text."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.linears", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="passes of each kind")
    given = parser.parse_args()
    return exit_status(lambda: _measure(given.rounds))


def _measure(rounds: int) -> None:
    import torch

    from worker.engine.pipelines.prepacked import prepack

    about, threads = machine.describe(), torch.get_num_threads()
    print(f"{about['cpu']}, {about['cores']} cores; milliseconds of a pass, medians of {rounds}")
    print(_line("model", "type", "threads", "batch", "plain", "packed", "ratio", "difference"))
    for name, dtype, model, inputs in _subjects():
        packed = prepack(copy.deepcopy(model))
        for count, size in itertools.product(sorted({1, threads}), SIZES):
            torch.set_num_threads(count)
            batch = inputs(size)
            plain_ms, packed_ms, ratio = _race(model, packed, batch, rounds)
            difference = float((model(**batch)[0].float() - packed(**batch)[0].float()).abs().max())
            figures = [f"{plain_ms:.2f}", f"{packed_ms:.2f}", f"{ratio:.2f}", f"{difference:.1e}"]
            print(_line(name, dtype, count, size, *figures), flush=True)


def _line(*cells: object) -> str:
    return " ".join(f"{cell!s:>11}" for cell in cells)


def _subjects() -> Iterator[tuple[str, str, Any, Callable[[int], dict[str, Any]]]]:
    import torch
    import transformers as untyped

    transformers: Any = untyped
    torch.set_grad_enabled(False)
    photo = transformers.ViTForImageClassification.from_pretrained(models.folder("photo"))
    sizes = {"hidden_size": 384, "num_hidden_layers": 6, "num_attention_heads": 12, "intermediate_size": 1536}
    texts = transformers.BertModel(transformers.BertConfig(**sizes))
    llama = transformers.LlamaConfig(
        hidden_size=256, num_hidden_layers=6, num_attention_heads=4, intermediate_size=1024, vocab_size=8_000
    )
    for dtype in (torch.float32, torch.bfloat16):
        name = str(dtype).removeprefix("torch.")

        def pixels(size: int, dtype: Any = dtype) -> dict[str, Any]:
            return {"pixel_values": torch.randn(size, 3, 224, 224).to(dtype)}

        def words(size: int) -> dict[str, Any]:
            return {"input_ids": torch.randint(5, 5_000, (size, TOKENS))}

        def step(size: int) -> dict[str, Any]:
            return {"input_ids": torch.randint(5, 5_000, (size, 1)), "use_cache": False}

        yield "ViT-Tiny", name, photo.eval().to(dtype), pixels
        yield "as MiniLM", name, texts.eval().to(dtype), words
        yield "Llama step", name, transformers.LlamaForCausalLM(llama).eval().to(dtype), step


def _race(plain: Any, packed: Any, batch: dict[str, Any], rounds: int) -> tuple[float, float, float]:
    """Returns the median milliseconds of both, and the median ratio of passes that follow each other."""
    pairs = []
    for model in (plain, packed):
        model(**batch)
    for _ in range(rounds):
        pair = []
        for model in (plain, packed):
            began = time.perf_counter()
            model(**batch)
            pair.append((time.perf_counter() - began) * 1000)
        pairs.append(pair)
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    return medians[0], medians[1], statistics.median(one / other for one, other in pairs)


if __name__ == "__main__":
    sys.exit(main())
