"""The peers: how each is started, called and parsed, with its default and with other batch sizes."""

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

SERVERS = "bench.peers.servers"
REQUIREMENTS = Path(__file__).parent


class Setting(msgspec.Struct, frozen=True):
    """One configuration of a peer."""

    size: int
    """Most texts in a batch; for plain FastAPI, the number of threads."""
    wait: float = 0.0
    """Most milliseconds to wait for a batch to fill."""

    options: tuple[str, ...] = ()
    """Further command-line arguments of the peer."""

    def name(self, unit: str) -> str:
        waiting = f", wait {self.wait:g} ms" if self.wait else ""
        return " ".join([f"{unit} {self.size}{waiting}", *self.options])


ECHO = Setting(32, wait=1)
"""For the echo, which computes nothing, so that waiting gains nothing."""


@dataclass(frozen=True)
class Peer:
    name: str
    shipped: Setting
    """From the peer's documentation or defaults."""
    tuned: tuple[Setting, ...]
    """Other settings to try; the fastest counts."""
    command: Callable[[Path, int, str, Setting], list[str]]
    """Arguments: its python, a port, a model's folder (empty for the echo), and the setting."""
    path: str
    body: Callable[[str], object]
    contains: str
    embedding: Callable[[bytes | str], list[float]]
    echo_path: str | None = None
    echo_contains: str = ""
    echo_setting: Setting = ECHO
    packages: tuple[str, ...] = ()
    """Packages whose versions are reported."""
    unit: str = "batch"

    @property
    def requirements(self) -> Path | None:
        """The peer's requirements file; None if it runs in Batchline's own environment."""
        file = REQUIREMENTS / f"requirements-{self.name}.txt"
        return file if file.exists() else None

    def settings(self) -> tuple[Setting, ...]:
        return (self.shipped, *(each for each in self.tuned if each != self.shipped))

    def bodies(self, texts: list[str]) -> list[str]:
        return [json.dumps(self.body(text)) for text in texts]


def module(name: str) -> Callable[[Path, int, str, Setting], list[str]]:
    return lambda python, port, model, setting: [str(python), "-m", f"{SERVERS}.{name}"]


def bentoml(python: Path, port: int, model: str, setting: Setting) -> list[str]:
    service = f"{SERVERS}.bentoml_server:{'Embed' if model else 'Echo'}"
    program = str(python.parent / "bentoml")
    return [program, "serve", service, "--host", "127.0.0.1", "--port", str(port)]


def infinity(python: Path, port: int, model: str, setting: Setting) -> list[str]:
    options = {
        "model-id": model,
        "served-model-name": "minilm",
        "engine": "torch",
        "device": "cpu",
        "dtype": "float32",
        "batch-size": setting.size,
        "host": "127.0.0.1",
        "port": port,
    }
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [str(python.parent / "infinity_emb"), "v2", *given, *setting.options]


def for_infinity(model: Path, folder: Path) -> Path:
    """Creates a copy of the model that truncates texts at the same length as the other peers.

    sentence-transformers reads a limit of 256 tokens from its own file; the other peers do not.
    """
    copy = folder / "all-MiniLM-L6-v2"
    shutil.copytree(model, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    limits = copy / "sentence_bert_config.json"
    known = json.loads(limits.read_bytes())
    limits.unlink()  # a link to the package's file
    limits.write_text(json.dumps(known | {"max_seq_length": 512}), encoding="utf-8")
    return copy


def _text(text: str) -> object:
    return {"text": text}


def _texts(text: str) -> object:
    return {"texts": [text]}


def _embedding(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)["embedding"]
    return vector


def _first_row(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)[0]
    return vector


def _openai(body: bytes | str) -> list[float]:
    vector: list[float] = json.loads(body)["data"][0]["embedding"]
    return vector


NO_BETTER = ("--no-bettertransformer",)
SIZES = (Setting(4), Setting(8), Setting(16))

PEERS = (
    Peer(
        "fastapi",
        shipped=Setting(40),
        tuned=(Setting(1), Setting(2)),
        command=module("plain_server"),
        path="/embed",
        body=_text,
        contains='"embedding"',
        embedding=_embedding,
        echo_path="/echo",
        echo_contains='"text"',
        packages=("fastapi", "uvicorn"),
        unit="threads",
    ),
    Peer(
        "litserve",
        shipped=Setting(8, wait=100),  # from LitAPI's docstring; without a size it does not batch
        tuned=(Setting(1), *SIZES),
        command=module("litserve_server"),
        path="/predict",
        body=_text,
        contains='"embedding"',
        embedding=_embedding,
        echo_path="/predict",
        echo_contains='"text"',
        packages=("litserve",),
    ),
    Peer(
        "mosec",
        shipped=Setting(4, wait=10),  # from its README's example; without a size it does not batch
        tuned=(Setting(1), *SIZES[1:]),
        command=module("mosec_server"),
        path="/inference",
        body=_text,
        contains='"embedding"',
        embedding=_embedding,
        echo_path="/inference",
        echo_contains='"text"',
        packages=("mosec",),
    ),
    Peer(
        "bentoml",
        shipped=Setting(100),  # the default of `batchable`; its dispatcher chooses the waiting time
        tuned=(Setting(2), *SIZES),
        command=bentoml,
        path="/embed",
        body=_texts,
        contains="[[",
        embedding=_first_row,
        echo_path="/echo",
        echo_contains="[",
        packages=("bentoml",),
    ),
    Peer(
        "infinity",
        shipped=Setting(32),
        tuned=(*SIZES, Setting(8, options=NO_BETTER), Setting(16, options=NO_BETTER)),
        command=infinity,
        path="/embeddings",
        body=lambda text: {"model": "minilm", "input": text},
        contains='"embedding"',
        embedding=_openai,
        packages=("infinity_emb", "sentence-transformers", "optimum"),
    ),
)
