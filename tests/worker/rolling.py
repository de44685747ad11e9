"""A pipeline with continuous batching for the tests, whose rows generate numbers or do harm."""

import ctypes
import os
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jobs.errors import InvalidRequest
from worker.engine.pipelines.continuous import Progress


@dataclass(eq=False)
class Numbers:
    """One row: the first word of its input says what it does, the parameter `tokens` how long it is."""

    words: list[str]
    limit: int
    tokens: int = 0
    companions: int = 0
    """Most rows in one of its steps."""

    @property
    def prompt_tokens(self) -> int:
        return len(self.words)

    @property
    def joining_tokens(self) -> int | None:
        return 1 if self.words[0] == "known" else None

    @property
    def gate(self) -> Path | None:
        return Path(self.words[1]) if self.words[0] == "until" else None


@dataclass
class Rolling:
    """`slots` rows at a time, with at most `memory` tokens in total up to their limits.

    An input is some words, followed by the name of a file or not: `until FILE` ends when the file exists;
    `die`, `hang` and `raise` do so in a step, and with `row` or `join` behind them at that time. Of a prompt
    that begins with `known`, one token is computed when it joins.
    """

    source: Path | None = None
    slots: int = 4
    memory: int = 1_000_000
    running: list[Numbers] = field(default_factory=list)

    def __call__(self, inputs: list[str]) -> list[str]:
        raise AssertionError("a row is not run as a batch")

    def row(self, one: str, parameters: dict[str, Any]) -> Numbers:
        row = Numbers(one.split(), int(parameters.get("tokens", 3)))
        if row.words[0] == "refuse":
            raise InvalidRequest(f"{one!r} is refused")
        self._harm(row, "row")
        return row

    def fits(self, row: Numbers) -> bool:
        used = sum(each.limit for each in self.running)
        return len(self.running) < self.slots and used + row.limit <= self.memory

    def join(self, rows: Sequence[Numbers]) -> None:
        for row in rows:
            self._harm(row, "join")
        self.running += rows

    def step(self) -> list[Progress]:
        time.sleep(0.001)
        for row in self.running:
            self._harm(row, "")
        progress = []
        for row in self.running:
            row.tokens += 1
            row.companions = max(row.companions, len(self.running))
            error = ValueError("this row is bad") if row.words[0] == "err" else None
            done = row.gate.exists() if row.gate else row.tokens >= row.limit
            text = "\ud800" if row.words[0] == "torn" else f"{row.tokens} "
            progress.append(Progress(row, text, row.tokens, done and error is None, error))
        self.running = [each.row for each in progress if not each.done and each.error is None]
        return progress

    def leave(self, row: Numbers) -> None:
        self.running.remove(row)

    def output(self, row: Numbers) -> dict[str, Any]:
        self._harm(row, "output")
        return {"text": " ".join(row.words), "tokens": row.tokens, "companions": row.companions}

    def _harm(self, row: Numbers, when: str) -> None:
        harms: dict[str, Callable[[], object]] = {
            "die": lambda: ctypes.string_at(0),
            "hang": lambda: time.sleep(1000),
            "raise": self._raise,
            "exhaust": lambda: self._exhaust(when),
            "worker": lambda: os.kill(os.getppid(), signal.SIGKILL),
        }
        name, *rest = row.words
        if name in harms and (rest[0] if rest else "") == when:
            harms[name]()

    def _raise(self) -> None:
        raise ValueError("this text is bad")

    def _exhaust(self, when: str) -> None:
        """Memory is short for this row beside others."""
        if len(self.running) > (0 if when == "join" else 1):
            raise MemoryError("no memory for it")
