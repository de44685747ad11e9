"""The one error that the benchmark ends with; its message is for a person."""


class BenchError(Exception):
    """What was measured cannot be trusted, or could not be measured."""
