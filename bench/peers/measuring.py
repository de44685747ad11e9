"""One measurement of one peer: starts its server, runs the load, compares the answers, ends the server."""

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import msgspec

from bench import load
from bench.errors import BenchError
from bench.peers.peer import Peer, Setting
from bench.peers.process import last_line, serving, wait_for
from bench.plan import Load, Plan
from bench.serving import COSINE, cosine
from tests import valkey
from tests.ports import free_port

READY = 120.0
"""Most seconds for starting and loading."""


class Measured(msgspec.Struct):
    """Result of one contender in one round: a load, or a problem."""

    name: str
    setting: Setting | None
    """None for Batchline, which has no settings to vary."""
    load: Load | None = None
    cosine: float | None = None
    """Lowest cosine between served and offline embeddings of the sample; None for the echo."""
    needed: float = COSINE
    """The lowest acceptable cosine."""
    problem: str = ""
    others: dict[int, Load] = {}
    """Other numbers of clients -> their loads, on the same started server."""

    @property
    def rate(self) -> float:
        return self.load.rate if self.load else 0.0

    @property
    def right(self) -> bool:
        """Whether the answers match the offline model's."""
        return self.load is not None and (self.cosine is None or self.cosine >= self.needed)


def embeddings(
    peer: Peer,
    setting: Setting,
    python: Path,
    model: Path,
    texts: list[str],
    plan: Plan,
    offline: dict[int, list[float]],
    log: Path,
    others: Sequence[int] = (),
) -> Measured:
    """Measures with `plan`, whose path and bodies it sets, and then with `others`: numbers of clients.

    Stores a BenchError as `problem`.
    """
    full_plan = msgspec.structs.replace(
        plan, path=peer.path, bodies=peer.bodies(texts), contains=peer.contains, keep=list(offline)
    )
    measured = Measured(peer.name, setting)
    try:
        measured.others = _loads(peer, setting, python, str(model), full_plan, log, others)
        measured.load = measured.others.pop(plan.clients)
        measured.cosine = nearness(peer, measured.load.kept, offline)
    except BenchError as error:
        measured.problem = str(error)
    return measured


def echoes(peer: Peer, setting: Setting, python: Path, texts: list[str], plan: Plan, log: Path) -> Measured:
    """Like `embeddings` with a model that computes nothing; compares no answers."""
    assert peer.echo_path is not None
    full_plan = msgspec.structs.replace(
        plan, path=peer.echo_path, bodies=peer.bodies(texts), contains=peer.echo_contains
    )
    try:
        return Measured(peer.name, setting, _loads(peer, setting, python, "", full_plan, log)[plan.clients])
    except BenchError as error:
        return Measured(peer.name, setting, problem=str(error))


def nearness(peer: Peer, kept: dict[int, str], offline: dict[int, list[float]]) -> float:
    """Returns the lowest cosine between served and offline. Ignores vector lengths, as one peer normalizes.

    Raises BenchError if there is no answer to compare.
    """
    found = []
    for number, body in kept.items():
        try:
            served = peer.embedding(body)
            found.append(cosine(served, offline[number]) if len(served) == len(offline[number]) else -1.0)
        except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
            raise BenchError(f"an answer is not an embedding: {body[:100]!r}: {error}") from None
    if not found:
        raise BenchError("there are no answers to compare")
    return min(found)


def in_turn(plan: Plan, others: Sequence[int]) -> dict[int, Load]:
    """Runs the plan, then with other numbers of clients. Raises BenchError."""
    return {
        clients: load.run(msgspec.structs.replace(plan, clients=clients))
        for clients in (plan.clients, *others)
    }


def _loads(
    peer: Peer,
    setting: Setting,
    python: Path,
    model: str,
    plan: Plan,
    log: Path,
    others: Sequence[int] = (),
) -> dict[int, Load]:
    port = free_port()
    environment = {
        "PEER_PORT": str(port),
        "PEER_MODEL": model,
        "PEER_SIZE": str(setting.size),
        "PEER_WAIT": f"{setting.wait:g}",
        "MOSEC_PORT": str(port),
        "MOSEC_ADDRESS": "127.0.0.1",
        "MOSEC_TIMEOUT": "60000",
        "MOSEC_LOG_LEVEL": "warning",
    }
    full_plan = msgspec.structs.replace(plan, port=port)
    command = peer.command(python, port, model, setting)
    with ExitStack() as exits:
        if peer.stores:
            folder = exits.enter_context(TemporaryDirectory())
            environment["PEER_REDIS"] = exits.enter_context(valkey.running(Path(folder))).url()
        worker, told = None, log.with_suffix(".worker.log")
        if peer.worker is not None:
            given = peer.worker(python, port, model, setting)
            worker = exits.enter_context(serving(given, environment, told))

        def answers() -> bool:
            if worker is not None and worker.poll() is not None:
                raise BenchError(f"its worker ended with status {worker.returncode}: {last_line(told)}")
            return _answers(full_plan)

        process = exits.enter_context(serving(command, environment, log))
        wait_for(process, answers, log, READY)
        return in_turn(full_plan, others)


def _answers(plan: Plan) -> bool:
    url = f"http://127.0.0.1:{plan.port}{plan.path}"
    headers = {"content-type": "application/json"}
    try:
        answer = httpx.post(url, content=plan.bodies[0], headers=headers, timeout=READY)
    except httpx.TransportError:
        return False
    return answer.status_code == 200 and plan.contains in answer.text
