"""LitServe and plain FastAPI with the same image classifier."""

import base64
import json
from dataclasses import dataclass
from pathlib import Path

import httpx
import msgspec

from bench import load
from bench.media import models
from bench.peers import environments
from bench.peers.catalogue import PEERS
from bench.peers.process import serving, wait_for
from bench.plan import Load, Plan
from tests.ports import free_port

READY = 120.0
"""Most seconds for starting and loading."""


@dataclass(frozen=True)
class Contender:
    """One server in one configuration."""

    name: str
    peer: str
    """Its name in `bench/peers/catalogue.py`, which has its environment."""
    module: str
    size: int = 1
    wait: float = 0.0
    """Milliseconds to wait for a batch to fill."""


CONTENDERS = (
    Contender("FastAPI", "fastapi", "plain_server"),
    Contender("LitServe as shipped", "litserve", "litserve_server"),
    Contender("LitServe, batches of 8", "litserve", "litserve_server", 8, 100),
    Contender("LitServe, batches of 16", "litserve", "litserve_server", 16, 20),
)
"""LitServe as shipped does not batch; 8 and 100 ms are the example of its documentation."""


def measure(contender: Contender, photos: list[bytes], plan: Plan, out: Path) -> Load:
    """Measures with `plan`; sets its port, path and bodies. Raises BenchError."""
    peer = next(each for each in PEERS if each.name == contender.peer)
    python = environments.python_of(peer, out / "venvs")
    port = free_port()
    environment = {
        "PEER_PORT": str(port),
        "PEER_MODEL": str(models.folder("photo")),
        "PEER_SIZE": str(contender.size),
        "PEER_WAIT": f"{contender.wait:g}",
    }
    log = out / f"media-{contender.module}.log"
    command = [str(python), "-m", f"bench.media.servers.{contender.module}"]
    bodies = [json.dumps({"image": base64.b64encode(photo).decode()}) for photo in photos]
    full_plan = msgspec.structs.replace(plan, port=port, path="/predict", bodies=bodies, contains='"labels"')
    with serving(command, environment, log) as process:
        wait_for(process, lambda: _answers(full_plan), log, READY)
        return load.run(full_plan)


def _answers(plan: Plan) -> bool:
    try:
        answer = httpx.post(
            f"http://127.0.0.1:{plan.port}{plan.path}",
            content=plan.bodies[0],
            headers={"content-type": "application/json"},
            timeout=READY,
        )
    except httpx.TransportError:
        return False
    return answer.status_code == 200
