"""The command called in this process, which has the programs' imports: for what ends before they begin."""

import os
import signal
from collections.abc import Callable, Iterator

import pytest

from cli.__main__ import main

Called = Callable[..., tuple[int, str, str]]


@pytest.fixture
def called(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Called]:
    """`called("keys", "drop")` returns exit status, stdout and stderr, as a process would give them."""
    for name in [name for name in os.environ if name.startswith("BATCHLINE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "100")
    interrupt = signal.getsignal(signal.SIGINT)  # which `serve` changes at once

    def call(*arguments: str) -> tuple[int, str, str]:
        try:
            status = main(arguments)
        except SystemExit as ended:
            status = int(str(ended.code))
        return status, *capsys.readouterr()

    yield call
    signal.signal(signal.SIGINT, interrupt)
