"""Which addresses a webhook may have. They are checked when a client gives them, and again before each try.

A name is only looked up when an event is sent (`jobs/outbound/transport.py`), because it may change.
"""

import re

import httpx

from hooks.deliveries import Target
from jobs.errors import InvalidRequest
from jobs.hosts import fits
from jobs.outbound.addresses import Addresses
from jobs.settings import Settings
from jobs.webhook import MAX_URL

HOST = re.compile(r"[a-z0-9._-]+|\[?[0-9a-f:.]+\]?")
NUMERIC = re.compile(r"(.*\.)?([0-9]+|0x[0-9a-f]*)")
"""Hosts that are IPv4 addresses, in any notation."""
LOCAL = ("localhost", ".localhost", ".local", ".internal", ".home.arpa")
"""Names, and ends of names, that no public host has."""


class Urls:
    """Checks addresses by the operator's settings."""

    def __init__(self, settings: Settings) -> None:
        self._hosts = settings.hooked_hosts
        self._http = settings.webhook_http
        self._addresses = Addresses(settings.outbound_networks)
        self._has_networks = bool(settings.outbound_networks)

    def check(self, text: str, pointer: str) -> httpx.URL:
        """Returns the address. Raises InvalidRequest with the pointer if it is not accepted."""
        fault, url = self._fault(text)
        if url is None:
            raise InvalidRequest(f"{pointer[1:].replace('/', '.')}: {fault}", pointer=pointer)
        return url

    def target(self, text: str) -> httpx.URL | None:
        """Returns the address that an event may be sent to, or None if it is not accepted any more."""
        return self._fault(text)[1]

    def receiver(self, text: str, endpoint: str = "") -> Target:
        """Returns whoever has the address. Without a place if it is not accepted: the try will say so."""
        url = self.target(text)
        return Target(text, "" if url is None else place(url), endpoint)

    def _fault(self, text: str) -> tuple[str, httpx.URL | None]:
        if not self._hosts:
            return "this server sends no webhooks (BATCHLINE_WEBHOOK_HOSTS)", None
        if len(text) > MAX_URL:
            return f"the address has more than {MAX_URL} characters", None
        try:
            url = httpx.URL(text.strip()).copy_with(fragment=None)
            host = url.raw_host.decode("ascii").lower().rstrip(".")
            _ = url.host  # decodes its Unicode, which httpx would do later, in the same way
        except (httpx.InvalidURL, ValueError, TypeError):
            return "the address is not a valid URL", None
        schemes = ("http", "https") if self._http else ("https",)
        if url.scheme not in schemes or not host:
            return f"give an address that begins with {' or '.join(f'{each}://' for each in schemes)}", None
        if not HOST.fullmatch(host):
            return "the address has no valid host", None
        if url.port is not None and not 0 < url.port < 65_536:
            return "the port is not between 1 and 65535", None
        if url.userinfo:
            return "the address must not contain a user name or a password", None
        if not fits(host, self._hosts):
            return "this server sends no webhooks to this host (BATCHLINE_WEBHOOK_HOSTS)", None
        if not self._may_be_reached(host):
            return "this server sends no webhooks to addresses that are not public", None
        return "", url

    def _may_be_reached(self, host: str) -> bool:
        """Whether the host may have an allowed address, without looking it up."""
        if ":" in host or NUMERIC.fullmatch(host):
            return self._addresses.allow(host.strip("[]"))
        if host.endswith(LOCAL) or "." not in host:
            return self._has_networks  # its address is checked when it is known
        return True


def place(url: httpx.URL) -> str:
    """Returns the host and port of an address: what deliveries wait for, and what fails together."""
    port = url.port or (443 if url.scheme == "https" else 80)
    return f"{url.raw_host.decode('ascii').lower().rstrip('.')}:{port}"
