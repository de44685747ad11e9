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

log = structlog.get_logger(__name__)


async def sweep_for_ever(ledger: Ledger, history: History) -> NoReturn:
    """Says once when Redis goes away and once when it is back."""
    away = False
    while True:
        try:
            for model in ledger.models:
                with suppress(QueueDamaged):  # which was logged with its key, and is no other model's fault
                    await ledger.sweep(model)
            await history.record()
            if away:
                log.info("Redis is back")
            away = False
        except QueueUnavailable as error:
            if not away:
                log.warning("Redis is away, trying again", error=str(error))
            away = True
        except Exception:  # a bug must not end the sweeping for good
            log.exception("sweep failed")
        await asyncio.sleep(SWEEP_EVERY)
