"""When everything works that can: asks until that is so, and tells the person where to go."""

import asyncio
import time

from jobs.connection import connect
from jobs.errors import QueueUnavailable
from jobs.settings import Settings
from jobs.workers import HEARTBEAT_EVERY, Roster
from standalone.terminal import say

ASK_EVERY = 0.2
"""Seconds between two questions to /health/ready."""

TELL_EVERY = 10.0
"""Seconds between two lines that say that the models are still loading."""

ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}
"""Listening on all addresses -> the one to be reached at from here."""


async def announce(settings: Settings, models: list[str]) -> None:
    """Waits until jobs can be run, with a line now and then, and prints the addresses.

    A model that cannot be loaded is not waited for; why it is not served is printed.
    """
    began = told = time.monotonic()
    loading = f"Loading {'model' if len(models) == 1 else 'models'} {', '.join(models)}"
    say(f"{loading} ...")
    while (retired := await retired_models(settings, models)) is None:
        await asyncio.sleep(ASK_EVERY)
        if time.monotonic() - told >= TELL_EVERY:
            told = time.monotonic()
            say(f"{loading} ... {told - began:.0f} s so far")
    for model, fault in retired.items():
        say(f"Model {model} is not served, and loaded again later: {fault}")
    url = address(settings)
    say(f"Batchline is ready: {url}  (docs: {url}/docs)")


def address(settings: Settings) -> str:
    """The API's address as a browser on this machine takes it."""
    host = ANY_ADDRESS.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


async def retired_models(settings: Settings, models: list[str]) -> dict[str, str] | None:
    """Why each retired model is not served, once all the others can run jobs; None until then."""
    redis = connect(settings, connections=1)
    try:
        beats = [beat for beat in await Roster(redis).read() if beat.age < 2 * HEARTBEAT_EVERY]
    except QueueUnavailable:
        return None
    finally:
        await redis.aclose(close_connection_pool=True)
    served = {beat.model for beat in beats if beat.engine in ("ready", "busy")}
    retired = {beat.model: beat.engine_fault for beat in beats if beat.retired and beat.model not in served}
    # what is retired counts as not ready there
    complete = bool(served) and all(model in served or model in retired for model in models)
    if await answers(settings, "/health/ready") or (complete and await answers(settings, "/health/live")):
        return retired
    return None


async def answers(settings: Settings, path: str) -> bool:
    """Whether GET on this path of the API answers 200. By hand: the product needs no HTTP client."""
    try:
        async with asyncio.timeout(5.0):
            reader, writer = await asyncio.open_connection(
                ANY_ADDRESS.get(settings.host, settings.host), settings.port
            )
            writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())
            status = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in status
