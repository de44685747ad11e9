"""Gate: a job that runs until the test says so, so that no test depends on how long a job takes."""

from pathlib import Path


class Gate:
    """`text` is an input for the poison pipeline that holds its engine until `open` is called."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "gate-is-open"
        self.text = f"until {self.path}"

    def open(self) -> None:
        self.path.touch()
