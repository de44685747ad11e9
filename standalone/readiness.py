"""Waits until the server is ready and prints its address."""

import asyncio
import ssl
import time

from jobs.errors import QueueUnavailable
from jobs.ledger.shard import Shard
from jobs.monitoring.roster import Heartbeat, Roster
from jobs.settings import Settings
from jobs.store.store import open_store
from standalone.terminal import say

POLL_EVERY = 0.2
"""Seconds between requests to /health/ready."""

REPORT_EVERY = 10.0
"""Seconds between lines that report that the models are still loading."""

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Address for listening on all interfaces -> address to connect to from this machine."""


async def announce(settings: Settings, models: list[str]) -> None:
    """Waits until jobs can be run, prints progress, and then the addresses.

    Does not wait for models that cannot be loaded; prints why they are not served.
    """
    began = reported = time.monotonic()
    say(f"Loading {'model' if len(models) == 1 else 'models'} {', '.join(models)} ...")
    while not await is_ready(settings):
        await asyncio.sleep(POLL_EVERY)
        if time.monotonic() - reported >= REPORT_EVERY:
            reported = time.monotonic()
            waiting = await _loading(settings, models)
            say(f"Loading {', '.join(waiting)} ... {reported - began:.0f} s so far")
    for model, fault in (await retired_models(settings)).items():
        say(f"Model {model} cannot be served; loading is retried later: {fault}")
    url = address(settings)
    say(f"Batchline is ready: {url}  (docs: {url}/docs)")


def address(settings: Settings) -> str:
    """Returns the API's address for a browser on this machine."""
    host = ANY_ADDRESS.get(settings.host, settings.host)
    return f"{settings.scheme}://{f'[{host}]' if ':' in host else host}:{settings.port}"


async def retired_models(settings: Settings) -> dict[str, str]:
    """Returns why each retired model is not served, from the latest heartbeats."""
    beats = await _heartbeats(settings)
    served = {beat.model for beat in beats if not beat.retired}
    return {beat.model: beat.engine_fault for beat in beats if beat.model not in served}


async def _loading(settings: Settings, models: list[str]) -> list[str]:
    """Returns the models that are neither loaded nor retired; all, if the API is what is waited for."""
    done = {beat.model for beat in await _heartbeats(settings) if beat.engine != "loading"}
    return [model for model in models if model not in done] or models


async def _heartbeats(settings: Settings) -> list[Heartbeat]:
    store = open_store(settings, connections=1)
    try:
        return await Roster(Shard(0, store, settings)).read()
    except QueueUnavailable:  # Redis just became unavailable; the status page reports it
        return []
    finally:
        await store.aclose()


async def is_ready(settings: Settings) -> bool:
    """Returns whether GET /health/ready answers 200. Uses a socket, to avoid depending on an HTTP client."""
    try:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection(
                ANY_ADDRESS.get(settings.host, settings.host), settings.port, ssl=_tls(settings)
            )
            writer.write(b"GET /health/ready HTTP/1.0\r\n\r\n")
            status = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status


def _tls(settings: Settings) -> ssl.SSLContext | None:
    """The TLS of the request; None without. It does not verify: our certificate names other hosts."""
    if settings.tls_cert is None:
        return None
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
