"""What a handler may ask for: the process's services, and how long the client is ready to wait."""

import math
import re
from dataclasses import dataclass
from typing import Annotated, NamedTuple, TypedDict

from arq.connections import ArqRedis
from fastapi import Depends
from starlette.requests import Request

from api.edge.connections import Connections
from api.edge.memory_budget import Budget
from api.health.roster_cache import RosterCache
from api.v1.problems import Refusal
from api.waiting.large_results import Large
from api.waiting.subscriber import Subscriber
from api.waiting.waiting import Waiting
from jobs.ledger.ledger import Ledger
from jobs.models import ModelCatalog
from jobs.monitoring.history import History
from jobs.monitoring.metrics import ApiMetrics
from jobs.settings import Settings


@dataclass(frozen=True)
class Services:
    """Made once by the lifespan, shared by all requests."""

    settings: Settings
    catalog: ModelCatalog
    redis: ArqRedis
    ledger: Ledger
    history: History
    roster: RosterCache
    subscriber: Subscriber
    waiting: Waiting
    budget: Budget
    large: Large
    connections: Connections
    metrics: ApiMetrics


class State(TypedDict):
    """What the lifespan yields; `request.state` holds it."""

    services: Services


class Wait(NamedTuple):
    """Seconds that the client will wait, and whether it said so by `Prefer`."""

    seconds: float
    preferred: bool

    @property
    def applied(self) -> dict[str, str]:
        """The header that tells a client its preference was honoured."""
        return {"preference-applied": f"wait={self.seconds:g}"} if self.preferred else {}


def services(request: Request) -> Services:
    found: Services = request.scope["state"]["services"]
    return found


async def _services(request: Request) -> Services:
    return services(request)  # FastAPI runs what is not async in a thread


def requested_wait(request: Request) -> Wait:
    """The query parameter, or else `Prefer: wait=S`; what cannot be understood of `Prefer` is ignored.

    Raises Refusal for a parameter that is no number of seconds.
    """
    longest = services(request).settings.max_wait
    query: bytes = request.scope["query_string"]
    if query and (given := _wait_of(query, request)) is not None:
        return Wait(min(_seconds(given), longest), preferred=False)
    preferred = preferred_wait(request.headers.getlist("prefer"))
    if preferred is None:
        return Wait(0.0, preferred=False)
    return Wait(min(preferred, longest), preferred=True)


def _wait_of(query: bytes, request: Request) -> str | None:
    """As a rule it is the only parameter, and plain."""
    if (found := _PLAIN_WAIT.fullmatch(query)) is not None:
        return found[1].decode()
    return request.query_params.get("wait")


def _seconds(given: str) -> float:
    try:
        seconds = float(given.encode("ascii"))  # other alphabets have digits too
    except ValueError:
        seconds = math.nan
    if not seconds >= 0:
        raise Refusal(
            "invalid-request", "query parameter 'wait': give a number of seconds, 0 or more", parameter="wait"
        )
    return seconds


_PLAIN_WAIT = re.compile(rb"wait=(\d{1,9}(?:\.\d{1,9})?)")
_WAIT = re.compile(r'\s*wait\s*=\s*("?)(\d{1,9}(?:\.\d{1,9})?)\1\s*(?:;.*)?', re.IGNORECASE)


def preferred_wait(headers: list[str]) -> float | None:
    """The `wait` of `Prefer` headers (RFC 7240, section 4.3); the first one counts."""
    for preference in ",".join(headers).split(",") if headers else ():
        if found := _WAIT.fullmatch(preference):
            return float(found[2])
    return None


Shared = Annotated[Services, Depends(_services)]
