"""Pipelines of an operator's own, good and bad, for `test_custom`."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np

NOT_A_CLASS = 3


class WithoutOptions:
    def __init__(self, source: Path | None) -> None:
        pass


class Lengths:
    warm_up = ("one", "three")

    def __init__(self, source: Path | None, factor: int = 1) -> None:
        self.factor = np.int64(factor)

    def __call__(self, inputs: list[Any], plus: int = 0) -> list[Any]:
        return [self.factor * len(entry) + plus for entry in inputs]


class Arrays(WithoutOptions):
    def __call__(self, inputs: list[Any], **_: Any) -> Any:
        return np.array([[len(entry), 0.5] for entry in inputs])


class Mixed(WithoutOptions):
    """Returns its inputs, except for one output that JSON cannot express."""

    def __call__(self, inputs: list[Any], **_: Any) -> list[Any]:
        knot: list[Any] = []
        knot.append(knot)
        odd = {
            "object": object(),
            "knot": knot,
            "nan": {"score": np.float32("nan")},
            "keys": [{1: "a", "1": "b"}],
            "decimal": {"a": Decimal("NaN")},
        }
        return [odd.get(entry, {"is": np.bool_(True), "of": (np.float32(0.5), entry)}) for entry in inputs]


class TooMany(WithoutOptions):
    def __call__(self, inputs: list[Any], **_: Any) -> list[Any]:
        return [*inputs, "one more"]


class OneForAll(WithoutOptions):
    def __call__(self, inputs: list[Any], **_: Any) -> Any:
        return dict.fromkeys(inputs)


class Broken:
    def __init__(self, source: Path | None) -> None:
        raise OSError("disk on fire")


class NotCallable(WithoutOptions):
    pass


class Counted:
    """Writes down the size of each batch."""

    warm_up = ("one", "three")

    def __init__(self, source: Path | None, record: str) -> None:
        self.record = Path(record)

    def __call__(self, inputs: list[Any]) -> list[Any]:
        with self.record.open("a") as file:
            file.write(f"{len(inputs)}\n")
        return inputs
