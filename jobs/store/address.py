"""Addresses that name several hosts, of sentinels or of a cluster, and the TLS options of an address.

SCHEME://[user:password@]host:port[,host:port...]/path?option=value; each part is percent-encoded.
"""

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from jobs.store.names import NamedConnection
from jobs.store.tls import TLSConnection

CERTIFICATE_CHECKS = ("none", "optional", "required")

TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
"""Options of a TLS address, named as in redis-py's `rediss://`: the file of trusted certificates, the
client's certificate and key, and whether the server's certificate (default) and host name are checked."""


@dataclass(frozen=True)
class Address:
    """A parsed address. `server` are redis-py's options for a pool of connections to any of the hosts."""

    hosts: tuple[tuple[str, int], ...]
    path: str
    server: dict[str, Any]
    transport: dict[str, Any]
    """The part of `server` without credentials: the class of the connections, and its TLS options."""
    extra: dict[str, str]
    """The other options of the address."""


def parse(url: str, *, tls: bool, default_port: int) -> Address:
    """Parses an address. Raises ValueError if it is invalid; the text may contain a password."""
    _, _, rest = url.partition("://")
    rest, _, query = rest.partition("?")
    netloc, _, path = rest.partition("/")
    credentials, _, hosts = netloc.rpartition("@")
    extra = dict(parse_qsl(query, strict_parsing=True)) if query else {}
    transport = _transport({name: extra.pop(name) for name in TLS_OPTIONS if name in extra}, tls)
    user, _, password = map(unquote, credentials.partition(":"))
    server = {"username": user or None, "password": password or None, **transport}
    return Address(
        tuple(_host(host, default_port) for host in hosts.split(",")), path, server, transport, extra
    )


def _transport(given: dict[str, str], tls: bool) -> dict[str, Any]:
    if not tls:
        if given:
            raise ValueError("TLS options of an address without TLS")
        return {"connection_class": NamedConnection}
    options: dict[str, Any] = {"connection_class": TLSConnection, **given}
    if given.get("ssl_cert_reqs", "required") not in CERTIFICATE_CHECKS:
        raise ValueError(given["ssl_cert_reqs"])
    if "ssl_check_hostname" in given:
        options["ssl_check_hostname"] = given["ssl_check_hostname"].lower() in ("1", "t", "true", "y", "yes")
    return options


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname or parts.path:
        raise ValueError(text)
    return parts.hostname, parts.port or default_port
