"""The newest jobs for the overview's table, of one state or model where the address says so."""

from collections.abc import Container
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from api.services import Services
from jobs.schema import Job, JobState

SHOWN = 12
"""Jobs in the table."""
SEARCHED = 300
"""Newest jobs among which a filter looks; a rare state must not have the whole listing read each second."""
PAGE = 60

PARTIAL = "partial"
"""The filter for jobs of which some inputs failed; they count as succeeded, so it is no state."""

STATES = ("", *(state.value for state in JobState), PARTIAL)
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

    def lets(self, job: Job) -> bool:
        state = job.partly_failed if self.state == PARTIAL else self.state in ("", job.status.value)
        return state and self.model in ("", job.model)


def chosen(query: QueryParams, models: Container[str]) -> Chosen:
    """What the address asks for; what is no state or model of ours is ignored."""
    state, model, charts = (query.get(name, "") for name in Chosen._fields)
    return Chosen(
        state if state in STATES else "",
        model if model in models else "",
        charts if charts in models else "",
    )


async def recent(shared: Services, wanted: Chosen) -> tuple[list[Job], bool]:
    """The newest jobs that the filters let through, and whether the search for more ended at SEARCHED.

    Raises QueueUnavailable.
    """
    found: list[Job] = []
    after: str | None = None
    searched = 0
    page = PAGE if wanted.state or wanted.model else SHOWN
    while len(found) < SHOWN and searched < SEARCHED:
        jobs, after = await shared.ledger.recent(page, after)
        found += [job for job in jobs if wanted.lets(job)]
        searched += page
        if after is None:
            break
    return found[:SHOWN], len(found) < SHOWN and after is not None
