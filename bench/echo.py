"""A model that computes nothing, to measure Batchline's own cost. `bench.echo:Echo` in `models.toml`."""

from typing import Any


class Echo:
    """Returns its inputs."""

    def __init__(self, source: object = None) -> None:
        pass

    def __call__(self, inputs: list[Any]) -> list[Any]:
        return inputs
