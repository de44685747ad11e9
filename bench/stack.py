"""The stack that is measured: Valkey, one worker, one API, all real; what they count and what they cost."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.ceiling import model_folder
from bench.errors import BenchError
from tests import processes, valkey

MODELS = """\
[models.embed]
task = "feature-extraction"
source = "{source}"

[models.echo]
pipeline = "bench.echo:Echo"
"""

PATH = "/v1/jobs?wait=60"

READY = 90.0
"""Seconds that starting may take."""
SETTLED = 15.0
"""Seconds in which the heartbeats must tell of all that was run."""

Cpu = dict[str, float]
"""Seconds of processor time: api, valkey, worker and engine."""


class Counters(NamedTuple):
    items: float
    batches: float
    tokens: float
    padded_tokens: float


class Stack:
    """A running stack."""

    def __init__(self, port: int, api: int, worker: int, server: int) -> None:
        self.port = port
        self._processes = {
            "api": psutil.Process(api),
            "valkey": psutil.Process(server),
            "worker": psutil.Process(worker),
        }

    def cpu(self) -> Cpu:
        """So far. The engines count as one: all but one are idle at a time."""
        taken = {name: _seconds(process) for name, process in self._processes.items()}
        taken["engine"] = sum(map(_seconds, self._processes["worker"].children()))
        return taken

    def counters(self, model: str) -> Counters:
        """What the worker's last heartbeat says."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        found = {
            sample.name: sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
            if sample.labels.get("model") == model
        }
        return Counters(*(found.get(f"batchline_worker_{field}_total", 0.0) for field in Counters._fields))

    def settled(self, model: str, items: float) -> Counters:
        """The counters once they tell of so many items; no more must come."""
        deadline = time.monotonic() + SETTLED
        while (counters := self.counters(model)).items < items:
            if time.monotonic() > deadline:
                raise BenchError(f"the worker tells of {counters.items:g} items and not of {items:g}")
            time.sleep(0.1)
        if counters.items > items:
            raise BenchError(f"the worker ran {counters.items:g} items where {items:g} were asked for")
        return counters


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def running(models: str | None = None) -> Iterator[Stack]:
    """A new stack whose models have both answered; it ends with the block.

    `models` is a models.toml, by default that of the benchmark.
    """
    models = models or MODELS.format(source=model_folder())
    port = valkey.free_port()
    with TemporaryDirectory() as name, valkey.running(Path(name)) as server:
        file = Path(name) / "models.toml"
        file.write_text(models, encoding="utf-8")
        settings = {"redis_url": server.url(), "models_file": file, "port": port, "log_level": "warning"}
        with processes.running("worker", **settings) as worker, processes.running("api", **settings) as api:
            assert server.process is not None
            wait_until_listening(port, "/health/live")
            stack = Stack(port, api.pid, worker.pid, server.process.pid)
            for model in ("embed", "echo"):
                _answers(port, model)
                stack.settled(model, 1)
            yield stack


def wait_until_listening(port: int, path: str) -> None:
    deadline = time.monotonic() + READY
    while True:
        try:
            httpx.get(f"http://127.0.0.1:{port}{path}", timeout=5)
            return
        except httpx.TransportError as error:
            if time.monotonic() > deadline:
                raise BenchError(f"nothing answers on port {port}: {error}") from None
            time.sleep(0.05)


def _answers(port: int, model: str) -> None:
    asked = {"model": model, "inputs": "Are you there?"}
    answer = httpx.post(f"http://127.0.0.1:{port}{PATH}", json=asked, timeout=READY)
    if answer.status_code != 200 or answer.json()["status"] != "succeeded":
        raise BenchError(f"{model} does not answer: {answer.status_code} {answer.text[:300]}")
