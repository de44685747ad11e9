"""Batchline: 64 clients send one image or sound each, as raw bytes."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from bench import load, stack
from bench.errors import BenchError
from bench.media import models
from bench.plan import Load, Plan
from bench.stack import PATH, Stack

MODELS = """\
[models.{name}]
task = "{task}"
source = "{folder}"
{dtype}
defaults = {defaults}
"""
DEFAULTS = {"photo": "{}", "speech": "{ num_beams = 1 }"}
"""The pipeline's own default for speech is a search with five beams."""
TYPES = {"photo": "image/jpeg", "speech": "audio/flac"}


class Served(msgspec.Struct):
    load: Load
    dtype: str
    batch: float
    """Mean items in a micro-batch."""
    cores: dict[str, float]
    """Process -> mean cores in use."""
    equal: int
    """Kept answers that are the offline model's, of `compared`."""
    compared: int


@contextmanager
def running(name: str, held_out: Path | None = None) -> Iterator[Stack]:
    """Starts a stack with one of the models, in float32 or the type that `auto` chooses by held-out media."""
    text = MODELS.format(
        name=name,
        task=models.TASKS[name],
        folder=models.folder(name),
        dtype=f'dtype = "auto"\nheld_out = "{held_out}"' if held_out else 'dtype = "float32"',
        defaults=DEFAULTS[name],
    )
    with stack.running(text) as found:
        yield found


def measure(running: Stack, name: str, inputs: list[bytes], expected: list[str], plan: Plan) -> Served:
    """Measures with `plan`; sets its port, path and bodies. Raises BenchError."""
    kept = list(range(0, len(inputs), max(1, len(inputs) // 16)))
    full_plan = msgspec.structs.replace(
        plan,
        port=running.port,
        path=f"{PATH}&model={name}",
        media=inputs,
        content_type=TYPES[name],
        contains='"status":"succeeded"',
        keep=kept,
    )
    before, spent = running.counters(name), running.cpu()
    loaded = load.run(full_plan)
    after = running.settled(name, before.items + loaded.answered)
    used = {process: seconds - spent[process] for process, seconds in running.cpu().items()}
    equal = sum(_answer(body) == expected[number] for number, body in loaded.kept.items())
    if not loaded.kept:
        raise BenchError("there are no answers to compare")
    return Served(
        load=loaded,
        dtype=_dtype(running.port),
        batch=(after.items - before.items) / (after.batches - before.batches),
        cores={process: seconds / loaded.elapsed for process, seconds in used.items()},
        equal=equal,
        compared=len(loaded.kept),
    )


def _dtype(port: int) -> str:
    """The number type in which the worker computes."""
    [model] = httpx.get(f"http://127.0.0.1:{port}/v1/models").json()["models"]
    [worker] = model["workers"]
    return str(worker["dtype"])


def _answer(body: str) -> str:
    [result] = json.loads(body)["results"]
    output = result["output"]
    return str(output[0]["label"] if isinstance(output, list) else output["text"])
