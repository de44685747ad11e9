"""One round: offline, Batchline, `transformers serve`, one after the other."""

import sys
from pathlib import Path

import msgspec

from bench.generation import offline, serve, served
from bench.generation.offline import Offline
from bench.generation.served import Server
from bench.generation.workload import Size, Workload


class Round(msgspec.Struct):
    offline: Offline
    servers: list[Server]


def one_round(workload: Workload, size: Size, interpreter: Path | None, logs: Path) -> Round:
    """Runs one round; without an interpreter, `transformers serve` is not measured. Raises BenchError."""
    _say("offline")
    found = offline.run(workload)
    _say("Batchline")
    servers = served.measure(workload, size, found.texts)
    if interpreter is not None:
        _say(serve.NAME)
        log = logs / "transformers-serve.log"
        servers.append(serve.measure(interpreter, workload, size, found.texts, log))
    _say("done\n")
    return Round(found, servers)


def _say(what: str) -> None:
    print(f" {what}", end="" if what.endswith("\n") else " ..", file=sys.stderr, flush=True)
