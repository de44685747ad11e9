"""Measures Batchline for the comparison: the same stack as `make bench`, in Batchline's own environment."""

import json
from collections.abc import Sequence

import msgspec

from bench import stack
from bench.ceiling import model_folder
from bench.errors import BenchError
from bench.peers.measuring import Measured
from bench.plan import Plan
from bench.serving import cosine, measure

NAME = "batchline"
AUTO = "batchline, dtype auto"
AGREEMENT = 0.999
"""The cosine that a faster dtype must reach to be chosen."""


def models(name: str) -> str:
    """Returns the models.toml of the line with this name."""
    table = "[models.embed]\n"
    more = 'dtype = "auto"\n' if name == AUTO else ""
    return stack.MODELS.format(source=model_folder()).replace(table, table + more)


def measured(
    name: str, texts: list[str], plan: Plan, offline: dict[int, list[float]], others: Sequence[int] = ()
) -> tuple[Measured, Measured]:
    """Measures the embeddings and the echo of one stack. Stores a BenchError as `problem`."""
    served, echoed = Measured(name, None), Measured(name, None)
    if name == AUTO:
        served.needed = AGREEMENT
    try:
        with stack.running(models(name)) as running:
            sampled_plan = msgspec.structs.replace(plan, keep=list(offline))
            served.load = measure(running, "embed", texts, sampled_plan).load
            served.cosine = nearness(served.load.kept, offline)
            for clients in others:
                other_plan = msgspec.structs.replace(plan, clients=clients)
                served.others[clients] = measure(running, "embed", texts, other_plan).load
            echoed.load = measure(running, "echo", texts[:64], plan).load
    except BenchError as error:
        for one in (served, echoed):
            one.problem = "" if one.load else str(error)
    return served, echoed


def nearness(kept: dict[int, str], offline: dict[int, list[float]]) -> float:
    """Returns the lowest cosine between served and offline. Raises BenchError without any served answer."""
    served = {number: json.loads(body)["results"][0]["output"] for number, body in kept.items()}
    if not served:
        raise BenchError("there are no answers to compare")
    return min(cosine(vector, offline[number]) for number, vector in served.items())
