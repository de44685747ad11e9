"""The newest jobs for the overview's table, of one state or model where the address says so."""

from collections.abc import Container
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from api.services import Services
from jobs.ledger import listing
from jobs.ledger.listing import PARTIAL, Filter
from jobs.schema import Job

SHOWN = 12
"""Jobs in the table."""

STATES = ("", *listing.STATES)
"""What the table may be filtered by."""


class Chosen(NamedTuple):
    """The filters; an empty one lets all through."""

    state: str = ""
    model: str = ""
    charts: str = ""
    """The model whose charts are shown beside the table."""

    @property
    def query(self) -> str:
        """As a query string, with its question mark."""
        given = {name: value for name, value in self._asdict().items() if value}
        return f"?{urlencode(given)}" if given else ""

    @property
    def state_words(self) -> str:
        return "partly failed" if self.state == PARTIAL else self.state

    @property
    def filter(self) -> Filter:
        """What the ledger's listing filters by."""
        return Filter(*(frozenset([name] if name else []) for name in (self.state, self.model)))


def chosen(query: QueryParams, models: Container[str]) -> Chosen:
    """What the address asks for; what is no state or model of ours is ignored."""
    state, model, charts = (query.get(name, "") for name in Chosen._fields)
    return Chosen(
        state if state in STATES else "",
        model if model in models else "",
        charts if charts in models else "",
    )


async def recent(shared: Services, wanted: Chosen) -> tuple[list[Job], bool]:
    """The newest jobs that the filters allow, and whether there are older jobs that nobody looked at.

    Raises QueueUnavailable.
    """
    found, after = await shared.ledger.recent(SHOWN, None, wanted.filter)
    return found, len(found) < SHOWN and after is not None
