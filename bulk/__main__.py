"""`batchline bulk`, or `python -m bulk`: the process that runs batches. Any number of them may run."""

import argparse
import asyncio
import os
import signal
import socket
import sys
from collections.abc import Sequence
from contextlib import suppress

import structlog
import uvloop

from bulk.runner.presence import Presence
from bulk.runner.process import serve
from jobs.errors import BatchlineError, ConfigurationError
from jobs.ledger.shard import Shard
from jobs.monitoring import traces
from jobs.process import heap, logs
from jobs.process.signals import StopSignals
from jobs.settings import Settings, load_settings
from jobs.store.check import check
from jobs.store.store import open_store
from jobs.variables import warn_of_unknown

log = structlog.get_logger("bulk")

STOP_SECONDS = 10.0
"""Most seconds for an orderly stop: batches are given back, and their jobs continue without this process."""


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the process's exit status. A configuration error prints one sentence and returns 1."""
    arguments = _parser().parse_args(argv)
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        if arguments.check:
            return uvloop.run(_check(settings))
        traces.configure("bulk")
        warn_of_unknown(log.warning)
        heap.return_large_blocks()
        heap.settle()
        return uvloop.run(_run(settings))
    except BatchlineError as error:
        print(f"batchline bulk: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="batchline bulk", description="Run the batches of uploaded files.")
    parser.add_argument(
        "--check", action="store_true", help="check whether this host's bulk process is alive, and exit"
    )
    return parser


async def _run(settings: Settings) -> int:
    await check(settings)
    work = asyncio.create_task(serve(settings))
    _stop_on_signals(work)
    with suppress(asyncio.CancelledError):
        await work
    log.info("stopped")
    return 0


def _stop_on_signals(work: asyncio.Task[None]) -> None:
    """The first SIGTERM or SIGINT starts an orderly stop; a second, or an overrun, ends it at once."""
    loop, signals = asyncio.get_running_loop(), StopSignals()

    def stop(received: signal.Signals) -> None:
        if not signals.first(received):
            return
        log.info("stopping", signal=received.name)
        work.cancel()
        loop.call_later(STOP_SECONDS, os._exit, 1)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop, number)


async def _check(settings: Settings) -> int:
    """Returns 0 if a bulk process of this host is alive."""
    store = open_store(settings)
    try:
        hosts = await Presence(Shard(0, store, settings)).hosts()
    finally:
        await store.aclose()
    if socket.gethostname() not in hosts:
        raise ConfigurationError("no live bulk process on this host")
    return 0


if __name__ == "__main__":
    sys.exit(main())
