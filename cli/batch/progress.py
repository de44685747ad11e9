"""Progress: the bar on a terminal, with rate and time left; lines of text where there is no terminal."""

import time
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, Task, TextColumn, TimeRemainingColumn
from rich.text import Text

EVERY = 30.0
"""Seconds between two lines of text."""


class _Rate(TextColumn):
    def __init__(self) -> None:
        super().__init__("")

    def render(self, task: Task) -> Text:
        return Text("" if task.speed is None else f"{task.speed:,.0f}/s", "cyan")


class Bar:
    """What is shown of a run. Everything goes to stderr."""

    def __init__(self) -> None:
        self.console = Console(stderr=True, highlight=False)
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[counts]}", markup=False),
            _Rate(),
            TimeRemainingColumn(),
        )
        self._progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self._task: Any = None
        self._told = ("", 0.0)

    def __enter__(self) -> "Bar":
        self._progress.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self._progress.stop()

    def show(self, what: str, done: int = 0, failed: int = 0, total: int | None = None) -> None:
        """Shows what is done now, and how many rows are done; `total` is None if it is not known."""
        counts = (
            "" if total is None else f"{done:,} of {total:,}" + (f", {failed:,} failed" if failed else "")
        )
        if self._progress.disable:
            self._tell(what, counts)
            return
        if self._task is None:  # the rows of an earlier start are not part of the rate
            self._task = self._progress.add_task(what, total=total, completed=done, counts=counts)
        self._progress.update(self._task, description=what, total=total, completed=done, counts=counts)

    def say(self, text: str) -> None:
        """Prints a line above the bar."""
        self.console.print(text, markup=False, soft_wrap=True)

    def _tell(self, what: str, counts: str) -> None:
        before, at = self._told
        if what != before or time.monotonic() - at >= EVERY:
            self._told = what, time.monotonic()
            self.say(f"{what}{': ' if counts else ''}{counts}")
