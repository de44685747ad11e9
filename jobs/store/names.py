"""Names: the addresses of host names, and connections that use them.

The name of a stopped container or pod is unknown, and its lookup can take many seconds. asyncio and uvloop
look names up in a few shared threads. So slow lookups of one name delay those of every other name, and the
process waits for these threads when it ends. Here:

1. Each name is looked up in a thread of its own, once at a time. Its callers share the lookup.
2. Nobody waits longer than `PATIENCE` for a lookup, or `STALE_AFTER` if an earlier address is known.
3. The threads are daemons: no lookup delays the end of the process.
"""

import asyncio
import ipaddress
import socket
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from redis.asyncio.connection import Connection

PATIENCE = 1.0
"""Most seconds to wait for a lookup; then the host counts as unreachable."""

STALE_AFTER = 0.2
"""Seconds of a lookup after which the addresses of an earlier one are used."""

LIFETIME = 1.0
"""Seconds for which an answer is used without another lookup: a name may get another address at any time."""

STALE_LIFETIME = 300.0
"""Seconds after which an answer is not used any more: another server may have the address by then."""


class Lookup:
    """A lookup under way, and the callers that wait for it."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.waiters: list[tuple[asyncio.AbstractEventLoop, asyncio.Future[None]]] = []
        self.addresses: list[str] = []
        self.error: Exception | None = None

    def end(self) -> None:
        """Wakes the callers; called in the lookup's thread."""
        for loop, waiter in self.waiters:
            with suppress(RuntimeError):  # the loop is closed: its caller is gone
                loop.call_soon_threadsafe(_wake, waiter)


class Names:
    """The addresses of host names; may be used from several event loops."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, tuple[list[str], float]] = {}
        self._lookups: dict[str, Lookup] = {}

    async def addresses(self, host: str) -> list[str]:
        """Returns the IPv4 and IPv6 addresses of a host, the preferred one first.

        Raises socket.gaierror, which is an OSError, if the host is unknown or there is no answer in time.
        """
        if _is_address(host):
            return [host]
        loop = asyncio.get_running_loop()
        waiter: asyncio.Future[None] = loop.create_future()
        with self._lock:
            known, found_at = self._known.get(host, ([], 0.0))
            age = time.monotonic() - found_at
            if known and age < LIFETIME:
                return known
            lookup = self._lookups.get(host) or self._start(host)
            lookup.waiters.append((loop, waiter))
        usable = known if age < STALE_LIFETIME else []
        await self._wait(lookup, waiter, STALE_AFTER if usable else PATIENCE)
        if lookup.addresses:
            return lookup.addresses
        # a server for names that fails says nothing about the host
        if usable and (lookup.error is None or getattr(lookup.error, "errno", None) == socket.EAI_AGAIN):
            return usable
        if lookup.error:
            raise socket.gaierror(*lookup.error.args[:2])
        raise socket.gaierror(socket.EAI_AGAIN, f"Its name was not resolved within {PATIENCE:g} s")

    async def _wait(self, lookup: Lookup, waiter: asyncio.Future[None], most: float) -> None:
        """Waits until a lookup is `most` seconds old: those who come later wait less, or not at all."""
        try:
            with suppress(TimeoutError):
                async with asyncio.timeout(lookup.began + most - time.monotonic()):
                    await waiter
        finally:
            with self._lock:
                lookup.waiters = [entry for entry in lookup.waiters if entry[1] is not waiter]

    def _start(self, host: str) -> Lookup:
        lookup = Lookup()
        threading.Thread(
            target=self._look_up, args=(host, lookup), name=f"lookup {host}", daemon=True
        ).start()
        self._lookups[host] = lookup
        return lookup

    def _look_up(self, host: str, lookup: Lookup) -> None:
        try:
            answer = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            lookup.addresses = list(dict.fromkeys(_address(*sockaddr) for *_, sockaddr in answer))
        except OSError as error:
            lookup.error = error
        except UnicodeError:
            lookup.error = socket.gaierror(socket.EAI_NONAME, "Its name is not a host name")
        finally:
            with self._lock:
                if lookup.addresses:
                    self._known[host] = lookup.addresses, time.monotonic()
                del self._lookups[host]
                lookup.end()


names = Names()
"""The names of this process."""


class NamedConnection(Connection):
    """redis-py's connection, whose host name is looked up by `names`. Tries each address of the host."""

    _address = ""

    def _connection_arguments(self) -> Mapping[str, Any]:
        arguments = {**super()._connection_arguments(), "host": self._address}
        if "ssl" in arguments:
            arguments["server_hostname"] = self.host  # the name in the certificate
        return arguments

    async def _connect(self) -> None:
        async with asyncio.timeout(self.socket_connect_timeout):
            *others, last = await names.addresses(self.host)
            for self._address in others:
                with suppress(OSError):
                    await super()._connect()  # type: ignore[no-untyped-call]
                    return
            self._address = last
            await super()._connect()  # type: ignore[no-untyped-call]


def _wake(waiter: asyncio.Future[None]) -> None:
    if not waiter.done():
        waiter.set_result(None)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _address(host: str, _port: int, _flow: int = 0, scope: int = 0) -> str:
    """Returns the address in an answer of getaddrinfo; a link-local one names its interface."""
    return f"{host}%{scope}" if scope else host
