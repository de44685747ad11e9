"""The error that ends a benchmark; its message is for people."""


class BenchError(Exception):
    """The measurement failed or its result is not reliable."""
