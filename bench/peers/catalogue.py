"""The peers: how each is started and called, with its default and with other batch sizes."""

from pathlib import Path

from bench.peers import answers
from bench.peers.infinity import INFINITY
from bench.peers.peer import SERVERS, SIZES, Peer, Setting, module
from bench.peers.queues import QUEUES


def bentoml(python: Path, port: int, model: str, setting: Setting) -> list[str]:
    service = f"{SERVERS}.bentoml_server:{'Embed' if model else 'Echo'}"
    program = str(python.parent / "bentoml")
    return [program, "serve", service, "--host", "127.0.0.1", "--port", str(port)]


PEERS = (
    Peer(
        "fastapi",
        shipped=Setting(40),
        tuned=(Setting(1), Setting(2)),
        command=module("plain_server"),
        path="/embed",
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
        body=answers.texts,
        contains="[[",
        embedding=answers.first_row,
        echo_path="/echo",
        echo_contains="[",
        packages=("bentoml",),
    ),
    Peer(
        "ray",
        shipped=Setting(10, wait=10),  # the defaults of `serve.batch`
        tuned=(Setting(1), *SIZES[:2]),
        command=module("ray_server"),
        path="/embed",
        echo_path="/embed",
        echo_contains='"text"',
        packages=("ray",),
    ),
    Peer(
        "mlserver",
        shipped=Setting(0),  # without a size it does not batch
        tuned=tuple(Setting(size, wait=10) for size in (4, 8, 16)),
        command=module("mlserver_server"),
        path="/v2/models/embed/infer",
        body=answers.v2,
        contains='"outputs"',
        embedding=answers.v2_embedding,
        echo_path="/v2/models/embed/infer",
        echo_contains='"outputs"',
        packages=("mlserver",),
    ),
    *INFINITY,
    *QUEUES,
)
