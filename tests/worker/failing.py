"""Classes that fail in the long run: a file goes away, memory is never freed, or much is freed each time."""

import ctypes
import resource
import time
from pathlib import Path

MIB = 1024 * 1024


class Fragile:
    """Upper-cases texts; can be built only if the file `needs` exists."""

    def __init__(self, source: Path | None = None, needs: str = "") -> None:
        Path(needs).read_text()

    def __call__(self, inputs: list[str]) -> list[str]:
        for text in inputs:
            while text.startswith("until ") and not Path(text.removeprefix("until ")).exists():
                time.sleep(0.01)
            if text == "die":
                ctypes.string_at(0)
        return [text.upper() for text in inputs]


class Leaky:
    """Keeps some memory for each input, and returns how many it has received."""

    def __init__(self, source: Path | None = None, mebibytes: int = 64) -> None:
        self.mebibytes = mebibytes
        self.kept: list[bytes] = []

    def __call__(self, inputs: list[str]) -> list[int]:
        for text in inputs:
            size = self.mebibytes * (1_000 if text == "huge" else 1)
            self.kept.append(b"x" * (size * MIB))  # written, and so resident
        return [len(self.kept)] * len(inputs)


class Wasteful:
    """Needs 200 MiB for a moment, and returns how many MiB are resident afterwards."""

    def __init__(self, source: Path | None = None) -> None:
        self.source = source

    def __call__(self, inputs: list[str]) -> list[int]:
        len(b"x" * (200 * MIB))  # written, and so resident
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return [pages * resource.getpagesize() // MIB] * len(inputs)
