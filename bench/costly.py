"""A pipeline with a known cost: it sleeps, like one that waits for a GPU. `bench.costly:Costly`.

It records each micro-batch in a file outside Redis, so that order and counts can be checked afterwards.
"""

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec


class Ran(msgspec.Struct):
    """One micro-batch. Times are seconds by the machine's monotonic clock."""

    engine: int
    """The engine's process id."""
    began: float
    ended: float
    names: list[str]
    """The first word of each input."""


class Costly:
    """Sleeps `seconds` for each input and returns its first word.

    An input `NAME until:PATH` blocks the engine until the file PATH exists.
    """

    def __init__(self, source: Path | None = None, seconds: float = 0.002, record: str = "") -> None:
        self._seconds = seconds
        self._record = os.open(record, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def __call__(self, inputs: list[str]) -> list[Any]:
        began = time.monotonic()
        names = [text.partition(" ")[0] for text in inputs]
        for text in inputs:
            _, _, gate = text.partition(" until:")
            while gate and not Path(gate).exists():
                time.sleep(0.005)
        time.sleep(self._seconds * len(inputs))
        ran = Ran(os.getpid(), began, time.monotonic(), names)
        # a single write to a file opened for appending is atomic
        os.write(self._record, msgspec.json.encode(ran) + b"\n")
        return names


def record_of(path: Path) -> list[Ran]:
    """Returns the recorded batches in the order of their ends; none if the file does not exist yet."""
    lines: Sequence[bytes] = path.read_bytes().splitlines() if path.exists() else []
    return [msgspec.json.decode(line, type=Ran) for line in lines]
