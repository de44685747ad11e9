"""Sweeps every queue each second, so that jobs expire and leases end even if no worker is running.

`jobs/ledger/scripts/sweep.lua` defines a sweep. Workers sweep as well; sweeping twice is safe. The same loop
records samples of the history (`jobs/monitoring/history.py`); recording them twice is safe, too.
"""

import asyncio
from contextlib import suppress
from typing import NoReturn

import structlog

from jobs.errors import QueueDamaged, QueueUnavailable
from jobs.ledger.ledger import Ledger
from jobs.ledger.queues import SWEEP_EVERY
from jobs.monitoring.history import History
from jobs.store.outage import Outage

log = structlog.get_logger(__name__)


async def sweep_forever(ledger: Ledger, history: History) -> NoReturn:
    """Sweeps and records samples each second. Logs once when Redis becomes unavailable and once on return."""
    outage = Outage(log)
    while True:
        try:
            for model in ledger.models:
                with suppress(QueueDamaged):  # already logged; other models are not affected
                    await ledger.sweep(model)
            await history.record()
            outage.succeeded()
        except QueueUnavailable as error:
            outage.failed(error)
        except Exception:  # after a bug, sweeping must continue
            log.exception("sweep failed")
        await asyncio.sleep(SWEEP_EVERY)
