"""The services of the process, for handlers."""

from dataclasses import dataclass
from typing import Annotated, TypedDict

from fastapi import Depends
from starlette.requests import Request

from api.access.access import Access
from api.edge.memory_budget import Budget
from api.edge.state import EdgeState
from api.health.footprint_cache import FootprintCache
from api.health.observation import Observer
from api.health.roster_cache import RosterCache
from api.intake import Intake
from api.waiting.large_results import LargeResults
from api.waiting.subscriber import Subscriber
from api.waiting.waiting import Waiting
from jobs.ledger.ledger import Ledger
from jobs.models import ModelCatalog
from jobs.monitoring.history import History
from jobs.monitoring.metrics import ApiMetrics
from jobs.monitoring.owner_metrics import OwnerTotals
from jobs.monitoring.usage import Usage
from jobs.settings import Settings
from jobs.store.store import Store


@dataclass(frozen=True)
class Services:
    """All services. Created once by the lifespan and shared by all requests."""

    settings: Settings
    catalog: ModelCatalog
    store: Store
    ledger: Ledger
    history: History
    roster: RosterCache
    subscriber: Subscriber
    waiting: Waiting
    budget: Budget
    large: LargeResults
    observer: Observer
    footprints: FootprintCache
    intake: Intake
    metrics: ApiMetrics
    usage: Usage
    owner_totals: OwnerTotals
    access: Access


class State(TypedDict):
    """The state that the lifespan yields. It is in `request.state`."""

    services: Services
    edge: EdgeState


def services(request: Request) -> Services:
    found: Services = request.scope["state"]["services"]
    return found


async def _services(request: Request) -> Services:
    return services(request)  # async, because FastAPI runs other functions in a thread


Shared = Annotated[Services, Depends(_services)]
