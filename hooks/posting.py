"""Posting: one try to send an event. Only to allowed addresses, without redirects, and the answer's body is
not read (`jobs/outbound/transport.py`)."""

import asyncio
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from hooks.retries import seconds_of
from jobs.outbound.addresses import Addresses
from jobs.outbound.transport import OutboundTransport
from jobs.settings import Settings

HEADERS = {"content-type": "application/json", "user-agent": "batchline", "connection": "close"}


class Answer(NamedTuple):
    """What became of a try."""

    status: int | None
    """None if there was no answer."""
    error: str | None
    """Why the event is not delivered, in words; None if it is."""
    retry_after: float | None = None
    """Seconds that the receiver asks for."""


class Posting:
    """Sends events."""

    def __init__(self, settings: Settings, transport: httpx.AsyncBaseTransport | None = None) -> None:
        """`transport` replaces the network in tests."""
        self._seconds = settings.webhook_timeout
        self._transport = transport or OutboundTransport(
            Addresses(settings.outbound_networks), max_connections=settings.webhook_connections
        )

    async def post(self, owner: str, url: httpx.URL, headers: Mapping[str, str], body: bytes) -> Answer:
        """Sends an event of the owner."""
        timeouts = dict.fromkeys(("connect", "read", "write", "pool"), self._seconds)
        extensions = {"timeout": timeouts, "sender": owner}
        request = httpx.Request(
            "POST", url, headers={**HEADERS, **headers}, content=body, extensions=extensions
        )
        try:
            async with asyncio.timeout(self._seconds):
                response = await self._transport.handle_async_request(request)
                await response.aclose()
        except (TimeoutError, httpx.TimeoutException):
            return Answer(None, f"no answer within {self._seconds:g} s")
        except httpx.ConnectError:
            return Answer(None, "the host cannot be reached, or has no public address")
        except (httpx.HTTPError, httpx.StreamError):
            return Answer(None, "the host does not answer as HTTP, or ended the answer early")
        status = response.status_code
        if 200 <= status < 300:
            return Answer(status, None)
        redirect = "; redirects are not followed" if 300 <= status < 400 else ""
        return Answer(
            status, f"the answer is {status}{redirect}", seconds_of(response.headers.get("retry-after"))
        )

    async def aclose(self) -> None:
        """Closes all connections."""
        await self._transport.aclose()
