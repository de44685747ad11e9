"""Checks the host names of requests, as a protection against DNS rebinding.

In DNS rebinding, the name of an attacker's page first resolves to the attacker's server and then to this one.
The page can then read this server's answers as its own. The attack needs a name that public DNS resolves. So
by default only other hosts are served: IP addresses, names without a dot, and reserved private names.
"""

import ipaddress
import socket
from urllib.parse import urlsplit

from starlette.types import Scope

from api.problems.problem import Refusal
from jobs.settings import Settings

AUTO = "auto"
ALL = "*"
PRIVATE_SUFFIXES = (".localhost", ".local", ".internal", ".home.arpa", ".svc")
"""Suffixes that are never public (RFC 6761, 6762, 8375; ICANN's .internal; Kubernetes' short names)."""
PROBES = frozenset({"/health/live", "/health/ready"})
"""Paths served under any host name, because probes use IP addresses. Their answers contain nothing secret."""
MAX_CACHED = 1_000
"""Maximum Host headers whose verdict is cached. Others are checked at each request."""


class Hosts:
    """The names of `BATCHLINE_ALLOWED_HOSTS`, separated by commas. `*.example.org` allows all subdomains."""

    def __init__(self, settings: Settings) -> None:
        names = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._all = ALL in names
        self._auto = AUTO in names
        own = {settings.host.lower(), socket.gethostname().lower()}
        self._names = names | (own if self._auto else set())
        self._suffixes = tuple(name[1:] for name in names if name.startswith("*."))
        self._verdicts: dict[bytes, bool] = {}

    def check(self, scope: Scope) -> None:
        """Raises Refusal if the request's host is not served."""
        if not self.serve(scope) and scope["path"] not in PROBES:
            host = (_host(scope) or b"").decode("latin-1")[:100]
            raise Refusal(
                "unknown-host",
                f"host {host!r} is not allowed; add it to BATCHLINE_ALLOWED_HOSTS if it leads to this server",
            )

    def serve(self, scope: Scope) -> bool:
        """Whether the request's Host is served. A request without Host (HTTP/1.0) is not from a browser."""
        if self._all or (header := _host(scope)) is None:
            return True
        verdict = self._verdicts.get(header)
        if verdict is None:
            verdict = self._serves(header)
            if len(self._verdicts) < MAX_CACHED:
                self._verdicts[header] = verdict
        return verdict

    def _serves(self, header: bytes) -> bool:
        try:
            name = (urlsplit(f"//{header.decode('ascii')}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        if not header.strip():
            return True
        if name in self._names or name.endswith(self._suffixes):
            return True
        if not self._auto or not name:
            return False
        return "." not in name or name.endswith(PRIVATE_SUFFIXES) or _is_address(name)


def _host(scope: Scope) -> bytes | None:
    """The Host header, or None if there is none."""
    return next((value for name, value in scope["headers"] if name == b"host"), None)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
