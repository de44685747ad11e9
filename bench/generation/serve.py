"""`transformers serve` with continuous batching, in an environment of its own.

It adds to Batchline's environment what the command needs, so both have the same torch and transformers.
"""

from pathlib import Path

import httpx

from bench.errors import BenchError
from bench.generation import models
from bench.generation.paged import BLOCKS, MOST_TOKENS
from bench.generation.served import Server, measure_streams
from bench.generation.streams import Streams
from bench.generation.workload import Size, Workload
from bench.peers import environments
from bench.peers.process import serving, wait_for
from tests.ports import free_port

NAME = "transformers serve"
REQUIREMENTS = Path(__file__).parent / "additions-transformers-serve.txt"
READY = 120.0
"""Most seconds for starting and loading."""


def python(out: Path) -> Path:
    """Returns its interpreter; creates its environment if needed. Raises BenchError."""
    return environments.environment("transformers-serve", REQUIREMENTS, out / "venvs")


def measure(interpreter: Path, workload: Workload, size: Size, expected: list[str], log: Path) -> Server:
    """Measures streams. Stores a BenchError as `problem`."""
    server, port, model = Server(NAME), free_port(), str(models.folder())
    options = {
        "device": "cpu",
        "host": "127.0.0.1",
        "port": port,
        "log-level": "error",
        "cb-num-blocks": BLOCKS,
        "cb-max-batch-tokens": MOST_TOKENS,
    }
    command = [str(interpreter), "-m", "transformers.cli.transformers", "serve", model]
    command += ["--continuous-batching", *(f"--{name}={value}" for name, value in options.items())]
    try:
        with serving(command, {"OMP_NUM_THREADS": "1"}, log) as process:
            wait_for(process, lambda: _answers(port, model), log, READY)
            plan = Streams(port, "completions", model, workload, size.seconds, size.warm_up)
            measure_streams(plan, size, server, expected)
    except BenchError as error:
        server.problem = str(error)
    return server


def _answers(port: int, model: str) -> bool:
    body = {"model": model, "prompt": "the", "max_tokens": 2, "temperature": 0}
    try:
        answer = httpx.post(f"http://127.0.0.1:{port}/v1/completions", json=body, timeout=READY)
    except httpx.TransportError:
        return False
    return answer.status_code == 200
