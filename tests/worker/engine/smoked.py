"""Classes for `test_smoke.py`: what is wrong with them shows when they are called."""

from pathlib import Path
from typing import Any


class Upper:
    def __init__(self, source: Path | None) -> None:
        pass

    def __call__(self, inputs: list[str]) -> list[Any]:
        return [text.upper() for text in inputs]


class NeedsPackage(Upper):
    warm_up = ("a text",)

    def __call__(self, inputs: list[str]) -> list[Any]:
        import absent_package  # type: ignore[import-not-found]

        return list(absent_package.run(inputs))


class Raises(Upper):
    def __call__(self, inputs: list[str]) -> list[Any]:
        raise KeyError("weights")


class NotJson(Upper):
    def __call__(self, inputs: list[str]) -> list[Any]:
        return [float("nan") for _ in inputs]


class TooFew(Upper):
    def __call__(self, inputs: list[str]) -> list[Any]:
        return inputs[:1]


class Recorded(Upper):
    """Writes down what it is called with."""

    def __init__(self, source: Path | None, record: str) -> None:
        self.record = Path(record)

    def __call__(self, inputs: list[str], size: int = 0) -> list[Any]:
        with self.record.open("a") as file:
            file.write(f"{inputs} {size}\n")
        return inputs
