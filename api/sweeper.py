"""A sweep of every queue each second, so that deadlines hold and run-out leases return when no worker lives.

What a sweep does is in `jobs/ledger/scripts/sweep.lua`; workers sweep as well, and sweeping twice is safe. So
it is with samples of the history (`jobs/monitoring/history.py`), which are taken on the same round.
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


async def sweep_for_ever(ledger: Ledger, history: History) -> NoReturn:
    """Says once when Redis goes away and once when it is back."""
    outage = Outage(log)
    while True:
        try:
            for model in ledger.models:
                with suppress(QueueDamaged):  # which was logged with its key, and is no other model's fault
                    await ledger.sweep(model)
            await history.record()
            outage.succeeded()
        except QueueUnavailable as error:
            outage.failed(error)
        except Exception:  # a bug must not end the sweeping for good
            log.exception("sweep failed")
        await asyncio.sleep(SWEEP_EVERY)
