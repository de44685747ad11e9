"""One round of all measurements, one after another: the ceiling, each peer, Batchline."""

import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import msgspec

from bench import ceiling
from bench.ceiling import Ceiling
from bench.errors import BenchError
from bench.peers import batchline
from bench.peers.measuring import Measured, echoes, embeddings
from bench.peers.peer import Peer, Setting
from bench.plan import Plan
from bench.texts import make_texts

T = TypeVar("T")

CLIENTS = 64
OTHER_CLIENTS = (1, 8, 256)
"""Measured on the same servers, for a table of its own."""


class Size(msgspec.Struct):
    """Sizes and durations of the measurements."""

    rounds: int
    texts: int
    seconds: float
    """Shortest duration of each measurement."""
    warm_up: float
    compared: int = 16
    """Number of texts whose embeddings are compared."""
    others: Sequence[int] = OTHER_CLIENTS
    """Other numbers of clients that are measured."""


FULL = Size(rounds=3, texts=192, seconds=4.0, warm_up=1.0)
QUICK = Size(rounds=1, texts=96, seconds=1.5, warm_up=0.5)


class Round(msgspec.Struct):
    ceiling: Ceiling
    served: list[Measured]
    echoed: list[Measured]


def one_round(size: Size, pythons: dict[Peer, Path], before: Sequence[Round], logs: Path) -> Round:
    """Runs one round and ends all started processes. Raises BenchError if the ceiling cannot be measured."""
    texts = make_texts(size.texts)
    sample = list(range(0, size.texts, size.texts // size.compared))
    plan = Plan(0, "", CLIENTS, size.seconds, [], "", warm_up=size.warm_up)
    _say("the ceiling")
    best = ceiling.run(texts, sample)
    served: list[Measured] = []
    echoed: list[Measured] = []

    def measure_batchline(name: str) -> None:
        _say(name)
        answers, nothing = batchline.measured(name, texts, plan, best.sample, size.others)
        served.append(answers)
        if name == batchline.NAME:  # the echo has no dtype
            echoed.append(nothing)

    with TemporaryDirectory() as folder:
        model = ceiling.model_folder()
        models: dict[str, Path] = {}

        def measure_peer(peer: Peer, setting: Setting) -> None:
            name = f"{peer.name} {setting.name(peer.unit)}"
            _say(name)
            log = logs / f"{name}.log"
            try:
                source = models.get(peer.name) or prepared(peer, model, Path(folder))
            except BenchError as error:
                served.append(Measured(peer.name, setting, problem=str(error)))
                return
            models[peer.name] = source
            served.append(
                embeddings(peer, setting, pythons[peer], source, texts, plan, best.sample, log, size.others)
            )

        def measure_echo(peer: Peer) -> None:
            _say(f"{peer.name} echo")
            log = logs / f"{peer.name} echo.log"
            echoed.append(echoes(peer, peer.echo_setting, pythons[peer], texts[:64], plan, log))

        def measure_as_openai() -> None:
            _say(batchline.AS_OPENAI)
            served.append(batchline.as_openai(texts, plan, best.sample, size.others))

        steps: list[Callable[[], None]] = [
            partial(measure_batchline, batchline.NAME),
            measure_as_openai,
            partial(measure_batchline, batchline.AUTO),
        ]
        for peer in pythons:
            for setting in settings_for(peer, before):
                steps.append(partial(measure_peer, peer, setting))
            if peer.echo_path:
                steps.append(partial(measure_echo, peer))
        for step in rotated(steps, len(before)):
            step()
    _say("the ceiling again")
    best = ceiling.again(texts, best)
    _say("done\n")
    return Round(best, served, echoed)


def prepared(peer: Peer, model: Path, folder: Path) -> Path:
    """Returns the model's folder as the peer needs it. Raises BenchError."""
    return peer.prepare(model, folder / peer.name) if peer.prepare else model


def settings_for(peer: Peer, before: Sequence[Round]) -> list[Setting]:
    """Returns all settings in the first round; later the default and the fastest other setting."""
    if not before:
        return list(peer.settings())
    best = fastest(peer, before[0].served)
    return [peer.shipped] if best is None else [peer.shipped, best]


def fastest(peer: Peer, served: list[Measured]) -> Setting | None:
    """Returns the fastest setting with correct answers, other than the default."""
    tuned = [
        each for each in served if each.name == peer.name and each.setting != peer.shipped and each.right
    ]
    return max(tuned, key=lambda each: each.rate).setting if tuned else None


def rotated(steps: list[T], by: int) -> list[T]:
    """Rotates the steps by a third in each round, so that no contender is always first."""
    at = by * len(steps) // 3 % len(steps)
    return steps[at:] + steps[:at]


def _say(what: str) -> None:
    print(f" {what}", end="" if what.endswith("\n") else " ..", file=sys.stderr, flush=True)
