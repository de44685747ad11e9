"""Fetches the media of a job whose request has links to them, after the job was validated.

A fetched medium is checked like one that was sent. All links of a request are bounded in number, bytes and
time, and those of the process in number. If its client disconnects, they are not fetched any further. Errors
do not say what is in the server's network (docs/decisions/048).
"""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, Protocol, TypeVar
from weakref import WeakValueDictionary

import httpx
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request

from api.access.caller import caller_of
from api.access.forwarding import client_address
from api.downloads import Download, LinkFailed, refused
from api.edge import bodies
from api.edge.disconnects import while_connected
from jobs.catalog import ModelCatalog
from jobs.hosts import fits
from jobs.inputs import admit_inputs
from jobs.media.encoded import ENTRY
from jobs.media.values import Link, Medium, changed, links
from jobs.monitoring.link_metrics import LinkMetrics
from jobs.outbound.addresses import Addresses
from jobs.outbound.transport import OutboundTransport
from jobs.schema import NewJob
from jobs.settings import Settings

R = TypeVar("R")

MAX_LINKS = 32
"""Most different links of one request."""
MAX_URL = 8_000
"""Most characters of a link."""
AT_ONCE = 4
"""Links of one request that are fetched at once."""
PROCESS_AT_ONCE = 32
"""Links that the process fetches at once."""
SENDER_AT_ONCE = 16
"""Links of one owner, or without keys of one address, that are fetched at once. So slow hosts of one client
do not hold up everybody else's links."""
CONNECT_SECONDS = 5.0
HEADERS = {"user-agent": "batchline", "accept": "*/*", "accept-encoding": "identity", "connection": "close"}


class Links:
    """Fetches links, if the operator allows it."""

    def __init__(
        self,
        settings: Settings,
        catalog: ModelCatalog,
        metrics: LinkMetrics,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """`transport` replaces the network in tests."""
        self._metrics = metrics
        self._hosts = settings.linked_hosts
        self._catalog = catalog
        self._seconds = settings.fetch_timeout
        self._most = settings.max_request_bytes
        self._slots = asyncio.Semaphore(PROCESS_AT_ONCE)
        self._of_sender: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        if transport is None and self._hosts:
            addresses = Addresses(settings.outbound_networks)
            transport = OutboundTransport(addresses, max_connections=PROCESS_AT_ONCE)
        self._transport = transport
        if self._hosts:
            metrics.expect()

    async def aclose(self) -> None:
        """Closes all connections."""
        if self._transport is not None:
            await self._transport.aclose()

    async def fetched(self, job: NewJob, request: Request) -> NewJob:
        """The job with the media in place of their links. It is returned as it is if there are none.

        The bytes are added to the memory of the request's body. Raises InvalidRequest with the pointer of a
        link; OverBudget; ClientDisconnect.
        """
        return await self._fetched(job, _Requesting(request))

    async def fetched_for(self, job: NewJob, owner: str) -> NewJob:
        """The same for a job without a request. Raises InvalidRequest."""
        return await self._fetched(job, _Owner(owner))

    async def _fetched(self, job: NewJob, client: "_Client") -> NewJob:
        found = list(links(job.inputs)) if job.has_media else []
        if not found:
            return job
        try:
            media = await self._media(job, found, client)
        except LinkFailed as error:
            self._metrics.failed.labels(error.reason).inc()
            raise
        except ClientDisconnect:
            self._metrics.failed.labels("hung_up").inc()
            raise

        def medium(value: Medium) -> Medium:
            return media[value.url] if isinstance(value, Link) else value

        # in a thread, because a hostile header takes milliseconds
        spec = self._catalog[job.model]
        inputs, _ = await asyncio.to_thread(admit_inputs, changed(job.inputs, medium), spec)
        return replace(job, inputs=inputs)

    async def _media(
        self, job: NewJob, found: Sequence[tuple[str, Link]], client: "_Client"
    ) -> dict[str, bytes]:
        """The media by their links. Raises LinkFailed, and as `fetched`."""
        first = {link.url: pointer for pointer, link in reversed(found)}
        if self._hosts and len(first) > MAX_LINKS:
            raise LinkFailed("refused", f"a request may have {MAX_LINKS} links, not {len(first)}", "/inputs")
        urls = {text: self._checked(text, pointer) for text, pointer in first.items()}
        spec = self._catalog[job.model]
        download = Download(client.grow, spec.limits.max_input_bytes, self._most)
        try:
            work = self._all(urls, first, download, client.sender)
            return await client.run(work)
        finally:
            self._metrics.bytes.inc(download.received)

    def _checked(self, text: str, pointer: str) -> httpx.URL:
        """The link as a URL. Raises LinkFailed if it is not allowed."""
        if text[: len(ENTRY)].lower() == ENTRY:
            raise LinkFailed(
                "refused", f"{ENTRY} names an entry only in a batch that has a media_file_id", pointer
            )
        if not self._hosts:
            raise LinkFailed(
                "refused",
                "this server fetches no links (BATCHLINE_FETCH_LINKS); send the bytes, base64 or a data URL",
                pointer,
            )
        if len(text) > MAX_URL:
            raise LinkFailed("refused", f"the link has more than {MAX_URL} characters", pointer)
        try:
            url = httpx.URL(text.strip()).copy_with(fragment=None)
            host = url.raw_host.decode("ascii").lower()
            _ = url.host  # decodes its Unicode, which httpx would do later, in the same way
        except (httpx.InvalidURL, ValueError):
            raise LinkFailed("refused", "the link is not a valid URL", pointer) from None
        if url.scheme not in ("http", "https") or not host:
            raise LinkFailed("refused", "a link must begin with http:// or https:// and a host", pointer)
        if url.port is not None and not 0 < url.port < 65_536:
            raise LinkFailed("refused", "the link's port is not between 1 and 65535", pointer)
        if url.userinfo:
            raise LinkFailed("refused", "a link must not contain a user name or a password", pointer)
        if not fits(host, self._hosts):
            raise LinkFailed(
                "refused", "this server does not fetch links to this host (BATCHLINE_FETCH_LINKS)", pointer
            )
        return url

    async def _all(
        self,
        urls: dict[str, httpx.URL],
        pointers: dict[str, str],
        download: Download,
        sender: str,
    ) -> dict[str, bytes]:
        own = asyncio.Semaphore(AT_ONCE)
        of_sender = self._of_sender.setdefault(sender, asyncio.Semaphore(SENDER_AT_ONCE))

        async def one(text: str) -> bytes:
            async with own, of_sender, self._slots:
                return await self._one(urls[text], pointers[text], download, sender)

        tasks = {text: asyncio.create_task(one(text)) for text in urls}
        try:
            async with asyncio.timeout(self._seconds):
                await asyncio.gather(*tasks.values())
        except TimeoutError:
            late = next((text for text, task in tasks.items() if task.cancelled()), next(iter(tasks)))
            raise refused(
                "timeout",
                f"it was not received within {self._seconds:g} s (BATCHLINE_FETCH_TIMEOUT)",
                pointers[late],
            ) from None
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)
        return {text: task.result() for text, task in tasks.items()}

    async def _one(self, url: httpx.URL, pointer: str, download: Download, sender: str) -> bytes:
        assert self._transport is not None
        seconds = {"connect": CONNECT_SECONDS} | dict.fromkeys(("read", "write", "pool"), self._seconds)
        extensions = {"timeout": seconds, "sender": sender}
        asked = httpx.Request("GET", url, headers=HEADERS, extensions=extensions)
        try:
            response = await self._transport.handle_async_request(asked)
            try:
                medium = await download.read(response, pointer)
            finally:
                await response.aclose()
            self._metrics.fetched.inc()
            return medium
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise refused(
                "unreachable", "its host cannot be reached, or is not a public one", pointer
            ) from None
        except (httpx.HTTPError, httpx.StreamError):
            raise refused(
                "protocol", "its host does not answer as HTTP, or ended the answer early", pointer
            ) from None


class _Client(Protocol):
    """For whom links are fetched."""

    @property
    def sender(self) -> str: ...
    def grow(self, size: int) -> None: ...
    async def run(self, work: Coroutine[Any, Any, R]) -> R: ...


class _Requesting:
    """A client whose request waits for the links."""

    def __init__(self, request: Request) -> None:
        self._request = request
        self._share = bodies.share_of(request)

    @property
    def sender(self) -> str:
        owner = caller_of(self._request.scope).owner
        return f"owner {owner}" if owner else client_address(self._request.scope)

    def grow(self, size: int) -> None:
        """Adds to the memory of the request's body. Raises OverBudget."""
        self._share.resize(self._share.size + bodies.MEMORY_PER_BYTE * size)

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """Raises ClientDisconnect."""
        return await while_connected(self._request, work)


class _Owner:
    """The owner of a batch."""

    def __init__(self, owner: str) -> None:
        self.sender = f"owner {owner}"

    def grow(self, size: int) -> None:
        """Nothing: the number of lines that are read at once is bounded."""

    async def run(self, work: Coroutine[Any, Any, R]) -> R:
        """The result of the work."""
        return await work
