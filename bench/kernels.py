"""`python -m bench.kernels [--dtype bfloat16]`: shows where a forward pass spends its time.

Profiles one batch of the benchmark's texts, run like in the engine, with torch's profiler on one core. Also
measures the rate of the dominant matrix product alone.
"""

import argparse
import time
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from bench.ceiling import model_folder
from bench.texts import make_texts
from jobs.models import ModelSpec
from worker.engine import pipelines, threads

TEXTS = 16
ROWS = 512
"""Rows (tokens) of the separate matrix product."""
RUNS = 30
SHOWN = 8


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.kernels", description=__doc__)
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    dtype = parser.parse_args().dtype
    threads.set_torch_threads(1)
    spec = ModelSpec(name="embed", task="feature-extraction", source=str(model_folder()), dtype=dtype)
    pipeline: Any = pipelines.load(spec, model_folder())
    prepared = pipeline.prepare(make_texts(TEXTS), {"pooling": "mean"})
    for _ in range(3):
        pipeline.compute(prepared)
    with profile(activities=[ProfilerActivity.CPU]) as profiler:
        for _ in range(RUNS):
            pipeline.compute(prepared)
    rows = sorted(profiler.key_averages(), key=lambda row: -row.self_cpu_time_total)
    whole = sum(row.self_cpu_time_total for row in rows)
    print(f"{prepared.tokens} tokens, {dtype}, {pipeline.layout}, one core: {whole / RUNS / 1000:.1f} ms")
    for row in rows[:SHOWN]:
        print(f"{row.self_cpu_time_total / whole:6.1%}  {row.key}")
    width = pipeline.model.config.hidden_size
    rate = _rate(width, pipeline.model.dtype)
    print(f"matrix product of {ROWS} x {width} x {width} alone: {rate:.0f} GFLOP/s")


def _rate(width: int, dtype: torch.dtype) -> float:
    inputs, weight = torch.randn(ROWS, width, dtype=dtype), torch.randn(width, width, dtype=dtype)
    times = []
    for _ in range(RUNS):
        began = time.perf_counter()
        torch.nn.functional.linear(inputs, weight)
        times.append(time.perf_counter() - began)
    return 2 * ROWS * width**2 / min(times) / 1e9


if __name__ == "__main__":
    main()
