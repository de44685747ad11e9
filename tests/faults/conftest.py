"""The fixtures of the worker's tests, for tests that kill it, and the measured figures of scenarios."""

from collections.abc import Callable

import pytest

from tests.worker.conftest import queue, serving

__all__ = ["queue", "serving"]


@pytest.fixture
def figure(record_property: Callable[[str, object], None]) -> Callable[[str], None]:
    """Notes a measured figure in words; all are shown at the end of the test run."""
    return lambda line: record_property("measured", line)
