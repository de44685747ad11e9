"""`batchline worker [--model NAME ...]`, or `python -m worker`: signals, and a BatchWorker for each model.

All of them share this process's event loop; each model runs in its own engine process. Future coarse arq
functions would run here too, on a stock `arq.Worker`.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from functools import partial

import structlog
import uvloop

from jobs.catalog import ModelCatalog, load_catalog
from jobs.errors import BatchlineError, ConfigurationError
from jobs.ledger.ids import MAX_SHARDS
from jobs.ledger.shard import Shard
from jobs.models import ModelSpec
from jobs.monitoring import traces
from jobs.monitoring.roster import Roster
from jobs.process import heap, logs
from jobs.process.signals import StopSignals
from jobs.settings import Settings, load_settings
from jobs.store.check import check
from jobs.store.store import open_store
from jobs.variables import warn_of_unknown
from worker.batch_worker import BatchWorker
from worker.supervisor.guard import EngineGuard

log = structlog.get_logger()

CONNECTIONS = 64
"""Most connections to Redis, besides the one that each model has for each shard while its worker is idle."""

STOP_MARGIN = 5.0
"""Seconds after the grace period to release jobs and leave the roster; Redis may not respond."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the process's exit status. A configuration error prints one sentence and returns 1."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        traces.configure("worker")
        catalog = load_catalog(settings.models_file)
        specs = [catalog[name] for name in arguments.model] or list(catalog.specs.values())
        if arguments.check:
            return uvloop.run(_check(settings, specs))
        warn_of_unknown(log.warning)
        heap.return_large_blocks()  # those of media
        heap.settle()
        return uvloop.run(_serve(settings, catalog, specs, burst=arguments.burst))
    except (BatchlineError, BaseExceptionGroup) as error:
        faults = list(_leaves(error))
        if not all(isinstance(fault, BatchlineError) for fault in faults):
            raise
        for fault in faults:
            print(f"batchline worker: {fault}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchline worker", description="Serve models from their queues in Redis."
    )
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME", help="only this model; may be repeated"
    )
    parser.add_argument("--burst", action="store_true", help="exit when the queues are empty")
    parser.add_argument(
        "--check", action="store_true", help="check whether this host's worker is alive, and exit"
    )
    return parser


async def _serve(settings: Settings, catalog: ModelCatalog, specs: list[ModelSpec], *, burst: bool) -> int:
    store = open_store(settings, connections=CONNECTIONS + len(specs) * MAX_SHARDS)
    guard = EngineGuard()
    try:
        await check(settings)
        guard.start()
        workers = [
            BatchWorker(store, settings, spec, partial(catalog.local_source, spec), burst=burst, guard=guard)
            for spec in specs
        ]
        _stop_on_signals(workers, settings.shutdown_grace)
        try:
            await _until_all_end(workers, burst=burst)
        finally:
            for worker in workers:
                await worker.close()
    finally:
        guard.stop()
        await store.aclose()
    return 0


async def _until_all_end(workers: list[BatchWorker], *, burst: bool) -> None:
    """Runs all workers; a model that cannot be loaded does not affect the others.

    Raises an ExceptionGroup with each model's error: at the start if none can be loaded, in burst mode once
    the other queues are empty. If a worker fails for another reason, the others stop in order before its
    error is raised.
    """
    tasks = [asyncio.create_task(worker.main()) for worker in workers]
    if not burst:  # in burst mode each worker raises its own error
        tasks.append(asyncio.create_task(_any_loads(workers)))
    await asyncio.wait(tasks, return_when=asyncio.ALL_COMPLETED if burst else asyncio.FIRST_EXCEPTION)
    for worker in workers:
        worker.stop()
    await asyncio.wait(tasks)
    if errors := [error for task in tasks if (error := task.exception())]:
        raise BaseExceptionGroup("workers failed", errors)


async def _any_loads(workers: list[BatchWorker]) -> None:
    """Waits until each model was loaded or failed to; raises the errors if none was loaded."""
    for worker in workers:
        await worker.load_attempted.wait()
    if all(faults := [worker.first_load_error for worker in workers]):
        raise ExceptionGroup("no model can be loaded", [fault for fault in faults if fault])


def _stop_on_signals(workers: list[BatchWorker], grace: float) -> None:
    """The first SIGTERM or SIGINT starts an orderly stop; a second, or an overrun, ends the process at once.

    The engines end with this process, and its leases expire.
    """
    loop, signals = asyncio.get_running_loop(), StopSignals()

    def stop(received: signal.Signals) -> None:
        if not signals.first(received):
            return
        log.info("stopping", signal=received.name)
        for worker in workers:
            worker.stop()
        loop.call_later(grace + STOP_MARGIN, os._exit, 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


async def _check(settings: Settings, specs: list[ModelSpec]) -> int:
    """Returns 0 if each model has a live worker on this host and at least one of them is served."""
    store = open_store(settings)
    try:
        beats = await Roster(Shard(0, store, settings)).read()
    finally:
        await store.aclose()
    names = [spec.name for spec in specs]
    here = [beat for beat in beats if beat.host == socket.gethostname() and beat.model in names]
    if missing := set(names) - {beat.model for beat in here}:
        raise ConfigurationError(f"no live worker on this host for {', '.join(sorted(missing))}")
    if all(beat.retired for beat in here):  # an orchestrator may move it
        raise ConfigurationError(f"no model is served on this host: {here[0].engine_fault}")
    return 0


def _leaves(error: BaseException) -> Iterator[BaseException]:
    """Yields the errors inside nested exception groups."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _leaves(inner)
    else:
        yield error


if __name__ == "__main__":
    sys.exit(main())
