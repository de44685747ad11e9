"""What a bulk process does until it is stopped: batches, webhooks, the files' upkeep, its own presence."""

import asyncio

import structlog
from prometheus_client import CollectorRegistry, Gauge

from api.app import DIALECTS
from api.links import Links
from api.waiting.subscriber import Subscriber
from bulk.batches.runs import Runs, Taken
from bulk.files.files import Files
from bulk.runner.batch_run import BatchRun
from bulk.runner.janitor import clean_storage
from bulk.runner.job_ends import JobEnds
from bulk.runner.lines.lines import JobLines
from bulk.runner.lines.media import LineMedia
from bulk.runner.lines.tools import Tools
from bulk.runner.presence import Presence
from bulk.runner.retries import Retries
from bulk.runner.runner import Runner
from bulk.storage.storage import Storage
from hooks.sender import Sender
from jobs.catalog import load_catalog
from jobs.ledger.ledger import Ledger
from jobs.ledger.shards import Shards
from jobs.monitoring.link_metrics import LinkMetrics
from jobs.monitoring.upkeep import Upkeep
from jobs.settings import Settings
from jobs.store.connection import cancel
from jobs.store.store import open_store

log = structlog.get_logger(__name__)

LAST_TRIES = 5.0
"""Seconds for which tries of webhooks that are in progress may go on at a stop. One that is cancelled may
have arrived, so its event would be sent twice."""


async def serve(settings: Settings) -> None:
    """Runs until it is cancelled. Raises ConfigurationError."""
    catalog = load_catalog(settings.models_file)
    storage = Storage(settings)
    store = open_store(settings)
    ledger = Ledger(Shards(store, settings, catalog.specs))
    first = ledger.shards.first
    subscriber = Subscriber(store.events, Gauge("watched_jobs", "", registry=CollectorRegistry()))
    links = Links(settings, catalog, LinkMetrics(CollectorRegistry()))
    runs, files = Runs(first), Files(first, storage)
    media = LineMedia(links, files, catalog, settings, Retries(log))
    tools = Tools(ledger, JobEnds(ledger, subscriber), settings, media)
    calls = {call.url: call for dialect in DIALECTS for call in dialect.line_calls}
    lines = JobLines(tools, calls, catalog)

    def start(taken: Taken) -> BatchRun:
        return BatchRun(taken, runs, files, storage, lines, catalog, settings)

    sender = Sender(ledger.shards)
    sending = asyncio.create_task(sender.run())
    background = [
        asyncio.create_task(work)
        for work in (
            subscriber.run(),
            Upkeep(ledger.shards, log).run(),
            Presence(first).report(),
            clean_storage(files, runs, storage),
        )
    ]
    runner = asyncio.create_task(Runner(runs, settings.batches_at_once, start).run())
    log.info("running batches", at_once=settings.batches_at_once)
    try:
        await asyncio.wait({runner, sending, *background}, return_when=asyncio.FIRST_COMPLETED)
        for task in (runner, sending, *background):
            if task.done():
                task.result()  # a bug: none of them ends
    finally:
        sender.stop()
        await cancel(runner)
        await asyncio.wait({sending}, timeout=LAST_TRIES)
        await cancel(sending, *background)
        await links.aclose()
        await store.aclose()
