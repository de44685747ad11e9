"""The fixtures of the worker's tests, for tests that kill it, and the figures that scenarios reach."""

from collections.abc import Callable

import pytest

from tests.worker.conftest import queue, serving

__all__ = ["queue", "serving"]

_figures: list[str] = []


@pytest.fixture
def figure() -> Callable[[str], None]:
    """Notes a measured figure in words; all are shown when the tests are over."""
    return _figures.append


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _figures:
        terminalreporter.section("measured")
        for line in _figures:
            terminalreporter.line(line)
