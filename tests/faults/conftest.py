"""The fixtures of the worker's tests, for tests that kill it."""

from tests.worker.conftest import queue, serving

__all__ = ["queue", "serving"]
