"""`python -m worker [--model NAME ...]`: settings, signals, and one BatchWorker for each model.

All of them share this process's event loop: the models run in engines of their own. Coarse arq functions,
once there are any, would run here on a stock `arq.Worker` beside them.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence

import structlog
import uvloop

from jobs import heap, logs, traces
from jobs.connection import check, connect
from jobs.errors import BatchlineError, ConfigurationError
from jobs.models import ModelCatalog, ModelSpec, load_catalog
from jobs.settings import Settings, load_settings
from jobs.signals import StopSignals
from jobs.watchdog import Watchdog
from jobs.workers import Roster
from worker.batch_worker import BatchWorker

log = structlog.get_logger()

LAST_WORDS = 5.0
"""Seconds after the grace for giving back and saying goodbye to a Redis that may not listen."""


def main(argv: Sequence[str] | None = None) -> int:
    """The process's exit status; a configuration error is one sentence and status 1."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        traces.configure("worker")
        catalog = load_catalog(settings.models_file)
        specs = [catalog[name] for name in arguments.model] or list(catalog.specs.values())
        if arguments.check:
            return uvloop.run(_check(settings, specs))
        heap.settle()
        return uvloop.run(_serve(settings, catalog, specs, burst=arguments.burst))
    except (BatchlineError, BaseExceptionGroup) as error:
        fault = _first(error)
        if not isinstance(fault, BatchlineError):
            raise
        print(f"batchline worker: {fault}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m worker", description="Serves models from their queues.")
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="only this model; may be repeated"
    )
    parser.add_argument("--burst", action="store_true", help="end when the queues are empty")
    parser.add_argument(
        "--check", action="store_true", help="tell whether this host's worker is alive, and end"
    )
    return parser


async def _serve(settings: Settings, catalog: ModelCatalog, specs: list[ModelSpec], *, burst: bool) -> int:
    redis = connect(settings)
    guard = Watchdog(grace=0.0)
    try:
        await check(settings)
        guard.start()
        workers = [
            BatchWorker(redis, settings, spec, catalog.local_source(spec), burst=burst, guard=guard)
            for spec in specs
        ]
        _stop_on_signals(workers, settings.shutdown_grace)
        try:
            await _until_all_end(workers)
        finally:
            for worker in workers:
                await worker.close()
    finally:
        guard.stop()
        await redis.aclose(close_connection_pool=True)
    return 0


async def _until_all_end(workers: list[BatchWorker]) -> None:
    """Should one of them fail, the others stop in order before its error is raised."""
    tasks = [asyncio.create_task(worker.main()) for worker in workers]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    for worker in workers:
        worker.stop()
    await asyncio.wait(tasks)
    for task in tasks:
        task.result()


def _stop_on_signals(workers: list[BatchWorker], grace: float) -> None:
    """The first SIGTERM or SIGINT starts an orderly stop; a second, or an overrun, ends the process at once.

    The engines die with this process, and leases run out by themselves.
    """
    loop, signals = asyncio.get_running_loop(), StopSignals()

    def stop(received: signal.Signals) -> None:
        if not signals.first(received):
            return
        log.info("stopping", signal=received.name)
        for worker in workers:
            worker.stop()
        loop.call_later(grace + LAST_WORDS, os._exit, 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


async def _check(settings: Settings, specs: list[ModelSpec]) -> int:
    """0 when each of the models has a worker of this host with a fresh heartbeat."""
    redis = connect(settings)
    try:
        beats = await Roster(redis).read()
    finally:
        await redis.aclose(close_connection_pool=True)
    here = {beat.model for beat in beats if beat.host == socket.gethostname()}
    missing = [spec.name for spec in specs if spec.name not in here]
    if missing:
        raise ConfigurationError(f"no live worker on this host for {', '.join(missing)}")
    return 0


def _first(error: BaseException) -> BaseException:
    """The error itself, out of the groups that task groups wrap it in."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


if __name__ == "__main__":
    sys.exit(main())
