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
PRIVATE = (".localhost", ".local", ".internal", ".home.arpa", ".svc")
"""Suffixes that are never public (RFC 6761, 6762, 8375; ICANN's .internal; Kubernetes' short names)."""
PROBES = frozenset({"/health/live", "/health/ready"})
"""Paths served under any host name, because probes use IP addresses. Their answers contain nothing secret."""
REMEMBERED = 1_000
"""Maximum Host headers whose verdict is cached. Others are checked at each request."""


class Hosts:
    """The names of `BATCHLINE_ALLOWED_HOSTS`, separated by commas. `*.example.org` allows all subdomains."""

    def __init__(self, settings: Settings) -> None:
        names = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._all = ALL in names
        self._auto = AUTO in names
        own = {settings.host.lower(), socket.gethostname().lower()}
        self._names = names | (own if self._auto else set())
        self._below = tuple(name[1:] for name in names if name.startswith("*."))
        self._verdicts: dict[bytes, bool] = {}

    def check(self, scope: Scope) -> None:
        """Raises Refusal if the request's host is not served."""
        if not self.serve(scope) and scope["path"] not in PROBES:
            raise Refusal("unknown-host", "name it in BATCHLINE_ALLOWED_HOSTS if it is meant to lead here")

    def serve(self, scope: Scope) -> bool:
        """Whether the request's Host is served. A request without Host (HTTP/1.0) is not from a browser."""
        if self._all:
            return True
        for name, value in scope["headers"]:
            if name == b"host":
                verdict = self._verdicts.get(value)
                if verdict is None:
                    verdict = self._serves(value)
                    if len(self._verdicts) < REMEMBERED:
                        self._verdicts[value] = verdict
                return verdict
        return True

    def _serves(self, header: bytes) -> bool:
        try:
            name = (urlsplit(f"//{header.decode('ascii')}").hostname or "").removesuffix(".")
        except ValueError:
            return False
        if not header.strip():
            return True
        if name in self._names or name.endswith(self._below):
            return True
        return self._auto and bool(name) and ("." not in name or name.endswith(PRIVATE) or _address(name))


def _address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
