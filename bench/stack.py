"""The measured stack: real Valkey, workers and one API; reads their counters and processor time."""

import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

import httpx
import psutil
from prometheus_client.parser import text_string_to_metric_families

from bench.ceiling import model_folder
from bench.errors import BenchError
from jobs.catalog import load_catalog
from jobs.models import ModelSpec
from tests import processes, valkey
from tests.ports import free_port

MODELS = """\
[models.embed]
task = "feature-extraction"
source = "{source}"

[models.echo]
pipeline = "bench.echo:Echo"
"""

PATH = "/v1/jobs?wait=60"

READY = 90.0
"""Most seconds for starting."""
SETTLED = 15.0
"""Seconds within which the heartbeats must report all inputs that were run."""

Cpu = dict[str, float]
"""Process -> seconds of processor time: api, valkey, worker and engine."""


class Counters(NamedTuple):
    items: float
    batches: float
    tokens: float
    padded_tokens: float
    compute_seconds: float


class Stack:
    """A running stack."""

    def __init__(self, port: int, redis_url: str, api: int, workers: Sequence[int], server: int) -> None:
        self.port = port
        self.redis_url = redis_url
        self._api, self._server = psutil.Process(api), psutil.Process(server)
        self._workers = [psutil.Process(worker) for worker in workers]

    def cpu(self) -> Cpu:
        """Returns the processor time so far; all workers are added up, and all engines."""
        engines = [engine for worker in self._workers for engine in worker.children()]
        return {
            "api": _seconds(self._api),
            "valkey": _seconds(self._server),
            "worker": sum(map(_seconds, self._workers)),
            "engine": sum(map(_seconds, engines)),
        }

    def counters(self, model: str) -> Counters:
        """Returns the counters of the workers' latest heartbeats."""
        text = httpx.get(f"http://127.0.0.1:{self.port}/metrics", timeout=10).text
        found: dict[str, float] = defaultdict(float)
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.labels.get("model") == model:
                    found[sample.name] += sample.value  # each worker has its own series
        return Counters(*(found[f"batchline_worker_{field}_total"] for field in Counters._fields))

    def settled(self, model: str, items: float) -> Counters:
        """Returns the counters once they show `items` items; raises BenchError for more, or after SETTLED."""
        deadline = time.monotonic() + SETTLED
        while (counters := self.counters(model)).items < items:
            if time.monotonic() > deadline:
                raise BenchError(f"the worker reports {counters.items:g} items instead of {items:g}")
            time.sleep(0.1)
        if counters.items > items:
            raise BenchError(f"the worker ran {counters.items:g} items instead of {items:g}")
        return counters


def _seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


@contextmanager
def running(
    models: str | None = None, *, cores: Sequence[set[int] | None] = (None,), **settings: object
) -> Iterator[Stack]:
    """Starts a stack, waits until all models have answered, and stops it after the block.

    `models` is the text of a models.toml, by default the benchmark's. Each entry of `cores` starts one worker
    and is the set of cores that it and its engines are bound to, or None.
    """
    models = models or MODELS.format(source=model_folder())
    port = free_port()
    with TemporaryDirectory() as name, valkey.running(Path(name)) as server, ExitStack() as exits:
        file = Path(name) / "models.toml"
        file.write_text(models, encoding="utf-8")
        given = {"redis_url": server.url(), "models_file": file, "port": port, "log_level": "warning"}
        given |= {"backend": "auto", **settings}
        workers = []
        for own in cores:
            with _bound_to(own):  # child processes inherit it
                workers.append(exits.enter_context(processes.running("worker", **given)).pid)
        api = exits.enter_context(processes.running("api", **given)).pid
        assert server.process is not None
        wait_until_listening(port, "/health/live")
        stack = Stack(port, server.url(), api, workers, server.process.pid)
        for spec in load_catalog(file).specs.values():
            stack.settled(spec.name, _answers(port, spec))
        yield stack


@contextmanager
def _bound_to(cores: set[int] | None) -> Iterator[None]:
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


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


def _answers(port: int, spec: ModelSpec) -> int:
    """Waits for the first answer, to a text or an example; returns its inputs. Raises BenchError."""
    given = {"inputs": "Are you there?"} if spec.definition.input.is_text else spec.definition.example
    job = {"model": spec.name, **given}
    answer = httpx.post(f"http://127.0.0.1:{port}{PATH}", json=job, timeout=READY)
    if answer.status_code != 200 or answer.json()["status"] != "succeeded":
        raise BenchError(f"{spec.name} does not answer: {answer.status_code} {answer.text[:300]}")
    return int(answer.json()["counts"]["total"])
