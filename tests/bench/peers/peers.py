"""A Peer for the tests, and rounds made up of figures."""

import json
from pathlib import Path

from bench.ceiling import Ceiling
from bench.peers.measuring import Measured
from bench.peers.peer import Peer, Setting
from bench.peers.rounds import Round
from bench.plan import Load


def command(python: Path, port: int, model: str, setting: Setting) -> list[str]:
    return [str(python), "-m", "tests.bench.peers.server"]


def embedding(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)["embedding"]
    return vector


PEER = Peer(
    "other",
    shipped=Setting(32),
    tuned=(Setting(4), Setting(8)),
    command=command,
    path="/embed",
    body=lambda text: {"text": text},
    contains='"embedding"',
    embedding=embedding,
    echo_path="/echo",
    echo_contains='"embedding"',
)


def load(rate: float) -> Load:
    return Load(
        requests=int(rate * 2),
        seconds=2.0,
        passes=1.0,
        mixture=1.0,
        p50=10.0,
        p95=20.0,
        p99=30.0,
        longest=40.0,
        answered=int(rate * 2),
        elapsed=2.0,
        cpu=0.1,
        errors=0,
        error="",
        kept={},
    )


def measured(name: str, size: int | None, rate: float, cosine: float | None = 1.0) -> Measured:
    return Measured(name, None if size is None else Setting(size), load(rate), cosine)


def a_round(ceiling: float, served: list[Measured], echoed: list[Measured] | None = None) -> Round:
    return Round(Ceiling(2, {8: ceiling}, 1, {}), served, echoed or [])
