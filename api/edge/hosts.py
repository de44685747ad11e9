"""Which host names are answered: a page elsewhere must not reach this server under a name of its own.

Against DNS rebinding: somebody's page has a name that first leads to their server and then to this one, and
so reads what is here as its own. Such a name must be one that public DNS resolves, so by default every other
kind is served: addresses, names without a dot, and those that are reserved for private networks.
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
"""Ends of names that are never public (RFC 6761, 6762, 8375; ICANN's .internal; Kubernetes' short names)."""
PROBES = frozenset({"/health/live", "/health/ready"})
"""Paths that are asked by address, whatever names are allowed; nothing in their answers is worth a trick."""
REMEMBERED = 1_000
"""Host headers whose verdict is remembered; whoever sends more of them gets theirs worked out each time."""


class Hosts:
    """The names from `BATCHLINE_ALLOWED_HOSTS`: separated by commas, `*.example.org` for all below one."""

    def __init__(self, settings: Settings) -> None:
        names = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
        self._all = ALL in names
        self._auto = AUTO in names
        own = {settings.host.lower(), socket.gethostname().lower()}
        self._names = names | (own if self._auto else set())
        self._below = tuple(name[1:] for name in names if name.startswith("*."))
        self._verdicts: dict[bytes, bool] = {}

    def check(self, scope: Scope) -> None:
        """Raises Refusal for a host that is not served."""
        if not self.serve(scope) and scope["path"] not in PROBES:
            raise Refusal("unknown-host", "name it in BATCHLINE_ALLOWED_HOSTS if it is meant to lead here")

    def serve(self, scope: Scope) -> bool:
        """Whether the request's Host may be answered; one without (HTTP/1.0) comes from no browser."""
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
