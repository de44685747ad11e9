"""An httpx transport that connects only to addresses that it has checked.

1. The name is looked up, by threads of its own and by one at a time: a slow name server delays nothing else.
   A sender gets a quarter of the threads at most, so that names that hang delay no other sender either.
2. Each address is checked. The request goes to the first allowed one that accepts a connection.
3. `Host` and TLS keep the name, so certificates are verified against it.

So a name that changes its address between the check and the connection (DNS rebinding) gains nothing. It
follows no redirects, uses no proxies, keeps no cookies and no connections.
"""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import httpx

from jobs.outbound.addresses import Addresses
from jobs.outbound.heads import BoundedBackend, answered

MAX_LOOKUPS = 64
"""Names that are looked up at once. A thread cannot be interrupted, so more wait."""
LOOKUPS_OF_SENDER = 16
"""Those of one sender, the extension `sender` of a request."""
MAX_TRIES = 3
"""Addresses of one name that are tried."""

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
Place = tuple[str, str, int]
"""A sender, and a name and a port that are looked up for it."""


class Unreachable(httpx.ConnectError):
    """The name has no address, or none that is allowed, or none accepts connections: it is not said which."""


class OutboundTransport(httpx.AsyncBaseTransport):
    """Sends requests to allowed addresses only. The body of a request must be bytes. For one event loop."""

    def __init__(
        self,
        addresses: Addresses,
        *,
        max_connections: int,
        lookup: Lookup | None = None,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`lookup` returns the addresses of a name; `context` is for TLS. Both have defaults."""
        self._addresses = addresses
        self._threads = ThreadPoolExecutor(MAX_LOOKUPS, "lookup")
        self._lookup = lookup or self._look_up
        self._turns: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._looking: dict[Place, asyncio.Future[Sequence[str]]] = {}
        # no connections are kept: they belong to an address, and a name there would use another one's
        limits = httpx.Limits(max_connections=max_connections, max_keepalive_connections=0)
        verify = context or httpx.create_ssl_context()
        self._inner = httpx.AsyncHTTPTransport(verify=verify, limits=limits, trust_env=False)
        pool: Any = self._inner._pool  # httpx has no parameter for the backend
        pool._network_backend = BoundedBackend(pool._network_backend)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Sends the request, for its extension `sender`. Raises httpx.TransportError; Unreachable."""
        url = request.url
        if url.scheme not in ("http", "https"):
            raise httpx.UnsupportedProtocol("only http and https", request=request)
        name = url.raw_host.decode("ascii")
        port = url.port or (443 if url.scheme == "https" else 80)
        sender = request.extensions.get("sender", "")
        for address in await self._allowed(sender, name, port) if port < 65_536 else ():
            pinned = httpx.Request(
                request.method,
                url.copy_with(host=address),
                headers=request.headers,  # with the name as Host
                stream=request.stream,
                extensions={**request.extensions, "sni_hostname": name},
            )
            try:
                response = await self._inner.handle_async_request(pinned)
            except (httpx.ConnectError, httpx.ConnectTimeout):
                continue
            answered(response)
            return response
        raise Unreachable("the host cannot be reached", request=request)

    async def aclose(self) -> None:
        """Closes all connections."""
        for task in self._looking.values():
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)
        await self._inner.aclose()

    async def _allowed(self, sender: str, name: str, port: int) -> list[str]:
        try:
            found = await self._shared(sender, name, port)
        except (OSError, UnicodeError):
            return []
        return [address for address in found if self._addresses.allow(address)][:MAX_TRIES]

    async def _shared(self, sender: str, name: str, port: int) -> Sequence[str]:
        """Looks a name up, once for all that ask meanwhile: one whose server hangs takes one thread."""
        place = sender, name, port
        turns = self._turns.setdefault(sender, asyncio.Semaphore(LOOKUPS_OF_SENDER))
        while (task := self._looking.get(place)) is None:
            await turns.acquire()  # a request that is given up meanwhile asks for nothing
            if place in self._looking:
                turns.release()
            else:
                self._begin(place, turns)
        return await asyncio.shield(task)

    def _begin(self, place: Place, turns: asyncio.Semaphore) -> None:
        """Begins a look-up, which keeps its turn until it ends, also if nobody waits for it any more."""
        _, name, port = place

        def ended(done: asyncio.Future[Sequence[str]]) -> None:
            del self._looking[place]
            turns.release()
            _ = done.cancelled() or done.exception()  # Python warns of exceptions that nobody has seen

        task = self._looking[place] = asyncio.ensure_future(self._lookup(name, port))
        task.add_done_callback(ended)

    async def _look_up(self, name: str, port: int) -> list[str]:
        look_up = partial(socket.getaddrinfo, name, port, type=socket.SOCK_STREAM)
        found = await asyncio.get_running_loop().run_in_executor(self._threads, look_up)
        return list(dict.fromkeys(str(address[0]) for *_, address in found))
