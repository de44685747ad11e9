"""Measures Batchline for the comparison: the same stack as `make bench`, in Batchline's own environment."""

import json
from collections.abc import Sequence

import msgspec

from bench import stack
from bench.ceiling import model_folder
from bench.errors import BenchError
from bench.peers.answers import openai_embedding
from bench.peers.measuring import Measured, in_turn
from bench.plan import Plan
from bench.serving import cosine, measure

NAME = "batchline"
AUTO = "batchline, dtype auto"
AS_OPENAI = "batchline, /v1/embeddings"
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


def as_openai(
    texts: list[str], plan: Plan, offline: dict[int, list[float]], others: Sequence[int] = ()
) -> Measured:
    """Measures the embeddings by OpenAI's interface. Stores a BenchError as `problem`."""
    found = Measured(AS_OPENAI, None)
    entry = "[models.embed]\n"
    defaults = 'defaults = { pooling = "mean", normalize = false }\n'  # as the ceiling computes it
    text = models(AS_OPENAI).replace(entry, entry + defaults)
    try:
        with stack.running(text) as running:
            full_plan = msgspec.structs.replace(
                plan,
                port=running.port,
                path="/v1/embeddings",
                bodies=[json.dumps({"model": "embed", "input": one}) for one in texts],
                contains='"embedding"',
                keep=list(offline),
            )
            found.others = in_turn(full_plan, others)
            found.load = found.others.pop(plan.clients)
            served = {at: openai_embedding(body) for at, body in found.load.kept.items()}
            found.cosine = min(cosine(vector, offline[at]) for at, vector in served.items())
    except BenchError as error:
        found.problem = str(error)
    return found


def nearness(kept: dict[int, str], offline: dict[int, list[float]]) -> float:
    """Returns the lowest cosine between served and offline. Raises BenchError without any served answer."""
    served = {number: json.loads(body)["results"][0]["output"] for number, body in kept.items()}
    if not served:
        raise BenchError("there are no answers to compare")
    return min(cosine(vector, offline[number]) for number, vector in served.items())
