"""One measurement of the served stack: external load, and the cost of each process meanwhile."""

import json
import math
from collections.abc import Sequence

import msgspec

from bench import load
from bench.errors import BenchError
from bench.plan import Load, Plan
from bench.stack import PATH, Stack

COSINE = 0.99999
DIFFERENCE = 1e-4
"""Limits of a served embedding against the offline one: lowest cosine, largest difference of a component."""


class Served(msgspec.Struct):
    load: Load
    items_per_request: int
    batch: float
    """Mean items in a micro-batch."""
    waste: float
    """Share of padding among the tokens run; 0 if the model has none."""
    cpu: dict[str, float]
    """Process -> milliseconds of processor time per request: api, valkey, worker, engine and load."""
    cores: dict[str, float]
    """Process -> mean cores in use; at 1 a process with one thread is saturated."""

    @property
    def rate(self) -> float:
        """Items per second."""
        return self.load.rate * self.items_per_request


def bodies(model: str, inputs: Sequence[str | list[str]]) -> list[str]:
    """Returns one request body for each input or list of inputs."""
    # as the ceiling computes it, without the normalization that the checkpoint's folder asks for
    parameters = {"pooling": "mean", "normalize": False} if model == "embed" else {}
    return [json.dumps({"model": model, "inputs": one, "parameters": parameters}) for one in inputs]


def measure(stack: Stack, model: str, inputs: Sequence[str | list[str]], plan: Plan) -> Served:
    """Measures with `plan`; sets its port, path and bodies. Raises BenchError."""
    plan = msgspec.structs.replace(
        plan, port=stack.port, path=PATH, bodies=bodies(model, inputs), contains='"status":"succeeded"'
    )
    each = len(inputs[0]) if isinstance(inputs[0], list) else 1
    counted, taken = stack.counters(model), stack.cpu()
    loaded = load.run(plan)
    spent = {name: seconds - taken[name] for name, seconds in stack.cpu().items()} | {"load": loaded.cpu}
    ran = stack.settled(model, counted.items + loaded.answered * each)
    padded = ran.padded_tokens - counted.padded_tokens
    return Served(
        load=loaded,
        items_per_request=each,
        batch=(ran.items - counted.items) / (ran.batches - counted.batches),
        waste=1 - (ran.tokens - counted.tokens) / padded if padded else 0.0,
        cpu={name: seconds * 1000 / loaded.answered for name, seconds in spent.items()},
        cores={name: seconds / loaded.elapsed for name, seconds in spent.items()},
    )


def compare(kept: dict[int, str], offline: dict[int, list[float]]) -> None:
    """Raises BenchError if a served embedding differs from the offline one, or if all are missing."""
    if not kept:  # some are missing if a pass was ended early
        raise BenchError("there are no answers to compare")
    for number, body in kept.items():
        served: list[float] = json.loads(body)["results"][0]["output"]
        alone = offline[number]
        if len(served) != len(alone):
            raise BenchError(f"text {number}: {len(served)} components served, {len(alone)} offline")
        furthest = max(abs(one - other) for one, other in zip(served, alone, strict=True))
        angle = cosine(served, alone)
        if not (angle >= COSINE and furthest <= DIFFERENCE):
            raise BenchError(
                f"text {number} differs from the offline result: cosine {angle}, difference {furthest}"
            )


def cosine(one: list[float], other: list[float]) -> float:
    """Returns the cosine similarity of two nonzero vectors with the same number of components."""
    return _dot(one, other) / math.sqrt(_dot(one, one) * _dot(other, other))


def _dot(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
