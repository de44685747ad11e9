"""Proxies: who sent a request, according to the proxies that BATCHLINE_TRUSTED_PROXIES names.

Forwarded headers from other peers are ignored: everybody can send them.
"""

import ipaddress
from functools import lru_cache

from starlette.types import Scope

_PROXIED = "batchline.proxied"
"""In the scope of a request that came from a trusted proxy."""

MAX_CACHED = 10_000
"""Most addresses whose verdict is cached."""


MAX_HOPS = 32
"""Most elements of X-Forwarded-For that are read; a client of a trusted network could send thousands."""


class Proxies:
    """The trusted proxies."""

    def __init__(self, networks: str) -> None:
        """`networks` are checked by the settings."""
        self._networks = [
            ipaddress.ip_network(each.strip(), strict=False) for each in networks.split(",") if each.strip()
        ]
        self.trusts = lru_cache(MAX_CACHED)(self._trusts)

    def apply(self, scope: Scope) -> None:
        """Replaces the client's address and the scheme by what a trusted proxy reports. Called once."""
        peer = scope.get("client")
        if not peer or not self.trusts(peer[0]):
            return
        scope[_PROXIED] = True
        forwarded: list[str] = []
        for name, value in scope["headers"]:
            if name == b"x-forwarded-for":
                forwarded += value.decode("latin-1").split(",")
            elif name == b"x-forwarded-proto" and (scheme := value.decode("latin-1").strip().lower()) in (
                "http",
                "https",
            ):
                scope["scheme"] = scheme
        client = peer[0]
        for text in reversed(forwarded[-MAX_HOPS:]):
            address = _address(text)
            if address is None:  # the hops before it cannot be known
                break
            client = address
            if not self.trusts(address):
                break
        scope["client"] = (client, 0 if client != peer[0] else peer[1])

    def _trusts(self, host: str) -> bool:
        try:
            address = _mapped(ipaddress.ip_address(host))
        except ValueError:
            return False
        return any(address in network for network in self._networks)


def from_trusted_proxy(scope: Scope) -> bool:
    """Whether the request came from a trusted proxy."""
    return _PROXIED in scope


def client_address(scope: Scope) -> str:
    """The client's address for logs and limits; "unix" for a Unix socket."""
    client = scope.get("client")
    return client[0] if client and client[0] else "unix"


def _address(text: str) -> str | None:
    """The address in one element of X-Forwarded-For, which may have a port; None if it has none."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        return str(_mapped(ipaddress.ip_address(host)))
    except ValueError:
        return None


def _mapped(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address,
) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An IPv4 address that a socket for both versions shows as IPv6, as IPv4."""
    return getattr(address, "ipv4_mapped", None) or address
