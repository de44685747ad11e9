"""One round of all measurements: the ceiling, the served model, the echo and a plain endpoint."""

import sys

import msgspec

from bench import ceiling, load, lone, stack
from bench.allowed import UNSORTED
from bench.ceiling import Ceiling
from bench.plan import Load, Plan
from bench.serving import Served, bodies, compare, measure
from bench.texts import make_texts
from tests import processes
from tests.ports import free_port

CLIENTS = (1, 8, 64, 256)
ECHO_CLIENTS = (1, 64)

LIST = 500
"""Inputs in a list request."""
LISTERS = 8
"""Clients that send list requests."""


class Size(msgspec.Struct):
    """Sizes and durations of the measurements."""

    rounds: int
    texts: int
    seconds: float
    """Shortest duration of each measurement."""
    echo_seconds: float
    warm_up: float
    compared: int = 16
    """Number of texts whose embeddings are compared."""


FULL = Size(rounds=3, texts=256, seconds=5.0, echo_seconds=4.0, warm_up=1.0)
QUICK = Size(rounds=1, texts=128, seconds=1.5, echo_seconds=1.5, warm_up=0.5)


class Round(msgspec.Struct):
    ceiling: Ceiling
    lone: float
    """Texts per second of lone passes with ONNX Runtime."""
    served: dict[int, Served]
    """Number of clients -> measurement."""
    echo: dict[int, Served]
    plain: dict[int, Load]
    echo_lists: Served
    plain_lists: Load


def one_round(size: Size) -> Round:
    """Runs one round. Raises BenchError. All started processes have ended when it returns or raises."""
    texts = make_texts(size.texts)
    sample = list(range(0, size.texts, size.texts // size.compared))
    plan = Plan(0, "", 1, size.seconds, [], "", warm_up=size.warm_up)
    quickly = msgspec.structs.replace(plan, seconds=size.echo_seconds)
    _say("the ceiling")
    best = ceiling.run(texts, sample, UNSORTED)
    alone = lone.rate(texts, best.sample)
    _say("a stack")
    with stack.running() as running:
        served = {}
        for clients in CLIENTS:
            _say(f"{clients} clients")
            full_plan = msgspec.structs.replace(plan, clients=clients, keep=sample)
            served[clients] = measure(running, "embed", texts, full_plan)
            compare(served[clients].load.kept, best.sample)
        _say("the ceiling again")
        best = ceiling.again(texts, best)
        alone = (alone + lone.rate(texts, best.sample)) / 2
        port = free_port()
        with processes.running("bench.plain", str(port)):
            stack.wait_until_listening(port, "/docs")
            echo, plain = {}, {}
            for clients in ECHO_CLIENTS:
                _say(f"echo, {clients} clients")
                full_plan = msgspec.structs.replace(quickly, clients=clients)
                echo[clients] = measure(running, "echo", texts[:64], full_plan)
                plain[clients] = _plain(port, texts[:64], full_plan)
            _say("echo, lists")
            lists = [(texts * LIST)[first : first + LIST] for first in range(4)]
            full_plan = msgspec.structs.replace(quickly, clients=LISTERS)
            echo_lists = measure(running, "echo", lists, full_plan)
            plain_lists = _plain(port, lists, full_plan)
    _say("done\n")
    return Round(best, alone, served, echo, plain, echo_lists, plain_lists)


def _plain(port: int, inputs: list[str] | list[list[str]], plan: Plan) -> Load:
    return load.run(
        msgspec.structs.replace(
            plan, port=port, path="/echo", bodies=bodies("echo", inputs), contains='"status":"succeeded"'
        )
    )


def _say(what: str) -> None:
    print(f" {what}", end="" if what.endswith("\n") else " ..", file=sys.stderr, flush=True)
