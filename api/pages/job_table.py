"""The newest jobs for the overview's table, filtered by state and model if the URL has such parameters."""

from collections.abc import Container
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from api.services import Services
from jobs.ledger import listing
from jobs.ledger.listing import PARTIAL, Filter
from jobs.schema import Job

SHOWN = 12
"""Maximum jobs in the table."""

STATES = ("", *listing.STATES)
"""States that the table can be filtered by; "" is no filter."""


class Chosen(NamedTuple):
    """The filters. An empty one selects all jobs."""

    state: str = ""
    model: str = ""
    charts: str = ""
    """The model whose charts are shown beside the table."""

    @property
    def query(self) -> str:
        """The filters as a query string with its question mark, or "" without filters."""
        given = {name: value for name, value in self._asdict().items() if value}
        return f"?{urlencode(given)}" if given else ""

    @property
    def state_words(self) -> str:
        return "partly failed" if self.state == PARTIAL else self.state

    @property
    def filter(self) -> Filter:
        """The filter for the ledger's listing."""
        return Filter(*(frozenset([name] if name else []) for name in (self.state, self.model)))


def chosen(query: QueryParams, models: Container[str]) -> Chosen:
    """The filters in the URL. Unknown states and models are ignored."""
    state, model, charts = (query.get(name, "") for name in Chosen._fields)
    return Chosen(
        state if state in STATES else "",
        model if model in models else "",
        charts if charts in models else "",
    )


async def recent(shared: Services, wanted: Chosen) -> tuple[list[Job], bool]:
    """The newest jobs that match the filters, and whether older jobs were not searched.

    Raises QueueUnavailable.
    """
    found, after = await shared.ledger.recent(SHOWN, None, wanted.filter)
    return found, len(found) < SHOWN and after is not None
