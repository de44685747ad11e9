"""`python -m hooks`: one sender of webhooks, until SIGTERM or SIGINT."""

import asyncio
import signal
import sys

import structlog

from hooks.sender import Sender
from jobs.errors import BatchlineError
from jobs.ledger.shards import Shards
from jobs.process import logs
from jobs.process.signals import StopSignals
from jobs.settings import Settings, load_settings
from jobs.store.check import check
from jobs.store.store import open_store
from jobs.variables import warn_of_unknown

log = structlog.get_logger()


def main() -> int:
    """Returns the process's exit status. A configuration error prints one sentence and returns 1."""
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        warn_of_unknown(log.warning)
        asyncio.run(_run(settings))
    except BatchlineError as error:
        print(f"batchline hooks: {error}", file=sys.stderr)  # noqa: T201
        return 1
    return 0


async def _run(settings: Settings) -> None:
    store = open_store(settings)
    try:
        await check(settings)
        sender, signals, loop = Sender(Shards(store, settings)), StopSignals(), asyncio.get_running_loop()

        def stop(number: int) -> None:
            if signals.first(number):
                sender.stop()

        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop, number)
        log.info("sending webhooks")
        await sender.run()
    finally:
        await store.aclose()


if __name__ == "__main__":
    sys.exit(main())
