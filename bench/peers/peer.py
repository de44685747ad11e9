"""What a peer is: how it is started, called and parsed, and how it can be configured."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench.peers import answers

SERVERS = "bench.peers.servers"
REQUIREMENTS = Path(__file__).parent


class Setting(msgspec.Struct, frozen=True):
    """One configuration of a peer."""

    size: int
    """Most texts in a batch; for plain FastAPI, the number of threads; for a queue, the jobs at a time."""
    wait: float = 0.0
    """Most milliseconds to wait for a batch to fill; for a queue, between two looks at it or at a result."""

    options: tuple[str, ...] = ()
    """Further command-line arguments of the peer."""

    def name(self, unit: str) -> str:
        waiting = f", wait {self.wait:g} ms" if self.wait else ""
        return " ".join([f"{unit} {self.size}{waiting}", *self.options])


SIZES = (Setting(4), Setting(8), Setting(16))

ECHO = Setting(32, wait=1)
"""For the echo, which computes nothing, so that waiting gains nothing."""

Command = Callable[[Path, int, str, Setting], list[str]]
"""Takes the peer's python, a port, a model's folder (empty for the echo), and the setting."""


@dataclass(frozen=True)
class Peer:
    name: str
    shipped: Setting
    """From the peer's documentation or defaults."""
    tuned: tuple[Setting, ...]
    """Other settings to try; the fastest counts."""
    command: Command
    path: str
    body: Callable[[str], object] = answers.text
    contains: str = '"embedding"'
    embedding: Callable[[bytes | str], list[float]] = answers.embedding
    """The request for one text, what an answer contains, and its vector."""
    echo_path: str | None = None
    echo_contains: str = ""
    echo_setting: Setting = ECHO
    packages: tuple[str, ...] = ()
    """Packages whose versions are reported."""
    unit: str = "batch"
    worker: Command | None = None
    """A second process of the peer."""
    stores: bool = False
    """Whether it keeps jobs in Redis. It gets a server like Batchline's, with an append-only file."""

    prepare: Callable[[Path, Path], Path] | None = None
    """Takes the model's folder and a new one, and makes the model there as the peer needs it.

    Raises BenchError.
    """

    @property
    def requirements(self) -> Path | None:
        """The peer's requirements file; None if it runs in Batchline's own environment.

        `additions-NAME.txt` has what is added to Batchline's environment, `requirements-NAME.txt` all.
        """
        files = [REQUIREMENTS / f"{kind}-{self.name}.txt" for kind in ("requirements", "additions")]
        return next((file for file in files if file.exists()), None)

    def settings(self) -> tuple[Setting, ...]:
        return (self.shipped, *(each for each in self.tuned if each != self.shipped))

    def bodies(self, texts: list[str]) -> list[str]:
        return [json.dumps(self.body(text)) for text in texts]


def module(name: str) -> Command:
    """Returns the command of one of our own servers."""
    return lambda python, port, model, setting: [str(python), "-m", f"{SERVERS}.{name}"]
