"""FastAPI with a stock queue, as tutorials write it: an endpoint submits a job, a worker runs it.

They are the peers that keep jobs in Redis, as Batchline does. The endpoint returns the result, which it polls
for, so that a request is one job for every peer. In Celery's default a job is lost with its worker.
"""

from pathlib import Path

from bench.peers.peer import SERVERS, Peer, Setting, module

OFTEN = 10.0
"""Milliseconds between looks, when tuned."""


def celery_worker(python: Path, port: int, model: str, setting: Setting) -> list[str]:
    """`size` is the number of processes."""
    celery = [str(python), "-m", "celery", "--app", f"{SERVERS}.celery_tasks", "worker"]
    return [*celery, "--concurrency", str(setting.size), "--loglevel", "warning"]


QUEUES = (
    Peer(
        "fastapi-arq",
        shipped=Setting(10, wait=500),  # arq's defaults of max_jobs and of both poll delays
        tuned=(Setting(10, wait=OFTEN), Setting(1, wait=OFTEN)),
        command=module("arq_server"),
        worker=module("arq_worker"),
        path="/embed",
        echo_path="/echo",
        echo_contains='"text"',
        echo_setting=Setting(10, wait=OFTEN),
        packages=("arq", "fastapi"),
        unit="jobs",
        stores=True,
    ),
    Peer(
        "fastapi-celery",
        shipped=Setting(2, wait=500),  # a process for each of two cores; the interval of AsyncResult.get
        tuned=(Setting(2, wait=OFTEN), Setting(1, wait=OFTEN)),
        command=module("celery_server"),
        worker=celery_worker,
        path="/embed",
        echo_path="/echo",
        echo_contains='"text"',
        echo_setting=Setting(2, wait=OFTEN),
        packages=("celery", "kombu", "fastapi"),
        unit="processes",
        stores=True,
    ),
    Peer(
        "ray-queue",
        shipped=Setting(5, wait=500),  # the default of `max_ongoing_requests`; the interval as for Celery
        tuned=(Setting(5, wait=OFTEN), Setting(2, wait=OFTEN)),
        command=module("ray_queue_server"),
        path="/embed",
        echo_path="/embed",
        echo_contains='"text"',
        echo_setting=Setting(5, wait=OFTEN),
        packages=("ray", "celery"),
        unit="jobs",
        stores=True,
    ),
)
