"""The services of the process, for handlers."""

from dataclasses import dataclass, field, replace
from typing import Annotated, TypedDict

from fastapi import Depends
from starlette.requests import Request

from api.access.access import Access
from api.access.caller import Caller, caller_of, models_of
from api.dialect import Dialects
from api.edge.memory_budget import Budget
from api.edge.state import EdgeState
from api.health.footprint_cache import FootprintCache
from api.health.observation import Observer
from api.health.roster_cache import RosterCache
from api.intake import Intake
from api.links import Links
from api.waiting.large_results import LargeResults
from api.waiting.subscriber import Subscriber
from api.waiting.wait_limit import WaitLimit
from api.waiting.waiting import Waiting
from bulk.batches.batches import Batches
from bulk.files.files import Files
from hooks.service import Hooks
from jobs.catalog import ModelCatalog
from jobs.ledger.ledger import Ledger
from jobs.monitoring.history import History
from jobs.monitoring.metrics import ApiMetrics
from jobs.monitoring.owner_metrics import OwnerTotals
from jobs.monitoring.usage import Usage
from jobs.settings import Settings
from jobs.store.store import Store

MAX_LIMITED = 1_000
"""Maximum sets of models that keys are limited to and whose services are kept."""


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
    wait_limit: WaitLimit
    budget: Budget
    large: LargeResults
    observer: Observer
    footprints: FootprintCache
    links: Links
    hooks: Hooks
    intake: Intake
    metrics: ApiMetrics
    usage: Usage
    owner_totals: OwnerTotals
    access: Access
    dialects: Dialects
    files: Files
    batches: Batches
    _limited: dict[frozenset[str], "Services"] = field(default_factory=dict)

    def with_models(self, names: frozenset[str]) -> "Services":
        """The same services for a caller who may use only these models, as if there were no others."""
        found = self._limited.get(names)
        if found is None:
            if len(self._limited) >= MAX_LIMITED:
                self._limited.clear()
            specs = [spec for name, spec in self.catalog.specs.items() if name in names]
            catalog = ModelCatalog(specs, self.catalog.base)
            found = self._limited[names] = replace(self, catalog=catalog)
        return found


class State(TypedDict):
    """The state that the lifespan yields. It is in `request.state`."""

    services: Services
    edge: EdgeState


def services(request: Request) -> Services:
    """The services, with the models that the request's caller may use."""
    found: Services = request.scope["state"]["services"]
    models = models_of(request.scope)
    return found if models is None else found.with_models(models)


async def _services(request: Request) -> Services:
    return services(request)  # async, because FastAPI runs other functions in a thread


Shared = Annotated[Services, Depends(_services)]


async def _caller(request: Request) -> Caller:
    return caller_of(request.scope)


Asking = Annotated[Caller, Depends(_caller)]
"""The caller of the request. Pass `sees` on to whatever reads jobs."""
