"""Reads the weights in CTranslate2's `model.bin`: names, shapes, numbers and aliases, all little-endian."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt

VERSION = 6
TYPES = ("<f4", "i1", "<i2", "<i4", "<f2")


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def number(self, kind: str) -> int:
        size = struct.calcsize(kind)
        self.at += size
        return int(struct.unpack_from(f"<{kind}", self.data, self.at - size)[0])

    def text(self) -> str:
        """Its length includes a zero at the end."""
        size = self.number("H")
        self.at += size
        return self.data[self.at - size : self.at - 1].decode()

    def array(self) -> npt.NDArray[np.generic]:
        shape = [self.number("I") for _ in range(self.number("B"))]
        kind, size = TYPES[self.number("B")], self.number("I")
        self.at += size
        return np.frombuffer(self.data[self.at - size : self.at], kind).reshape(shape)


def read(file: Path) -> dict[str, npt.NDArray[np.generic]]:
    """Returns name -> weights. Raises ValueError for a file of another version."""
    reader = _Reader(file.read_bytes())
    if (version := reader.number("I")) != VERSION:
        raise ValueError(f"{file} has version {version} of the format, not {VERSION}")
    reader.text()  # the kind of model
    reader.number("I")  # its revision
    found = {reader.text(): reader.array() for _ in range(reader.number("I"))}
    for _ in range(reader.number("I")):
        alias = reader.text()
        found[alias] = found[reader.text()]
    return found
