"""Lists of hosts in settings: names, `*.example.org` for every name below one, `*` for all, or `off`."""

import re
from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError

NAMED = re.compile(r"\s*((\*\.)?[a-z0-9_-]+(\.[a-z0-9_-]+)*|[0-9a-f:]+|\*)?\s*")


def _checked(given: str) -> str:
    for host in given.lower().split(","):
        if not NAMED.fullmatch(host) or host.strip() in ("on", "true", "yes", "1"):
            raise PydanticCustomError(
                "host", "give names of hosts such as a.example.org,*.example.net, * for all, or off"
            )
    return given


HostList = Annotated[str, AfterValidator(_checked)]
"""The type of such a setting."""


def named(given: HostList) -> frozenset[str]:
    """Returns the hosts of a list; empty if there are none."""
    return frozenset(host.strip().lower() for host in given.split(",")) - {"", "off"}


def fits(host: str, hosts: Iterable[str]) -> bool:
    """Whether a host, in lower case, is one of those of a list."""
    host = host.rstrip(".")
    return any(each in ("*", host) or (each.startswith("*.") and host.endswith(each[1:])) for each in hosts)
