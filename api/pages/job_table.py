"""Tables of jobs: the filters in a page's URL, and the links that change them."""

from collections.abc import Container, Iterable
from typing import NamedTuple
from urllib.parse import urlencode

from starlette.datastructures import QueryParams

from jobs.ledger import listing
from jobs.ledger.listing import PARTIAL, Filter

STATES = ("", *listing.STATES)
"""States that a table can be filtered by; "" is no filter."""


class Filters(NamedTuple):
    """The filters of a table. An empty one selects all jobs."""

    state: str = ""
    model: str = ""

    @property
    def state_words(self) -> str:
        return "partly failed" if self.state == PARTIAL else self.state

    @property
    def filter(self) -> Filter:
        """The filter for the ledger's listing."""
        return Filter(*(frozenset([name] if name else []) for name in (self.state, self.model)))


class Link(NamedTuple):
    """A link that sets one of the filters. `current` if that filter is set already."""

    text: str
    url: str
    current: bool


def filters(query: QueryParams, models: Container[str]) -> Filters:
    """The filters in the URL. Unknown states and models are ignored."""
    state, model = query.get("state", ""), query.get("model", "")
    return Filters(state if state in STATES else "", model if model in models else "")


def state_links(path: str, given: Filters, anchor: str = "") -> list[Link]:
    """A link for each state. The links keep the model, and lead to an element of the page."""
    each = (given._replace(state=state) for state in STATES)
    return [Link(one.state_words or "all", url(path, one) + anchor, one.state == given.state) for one in each]


def model_links(path: str, given: Filters, models: Iterable[str]) -> list[Link]:
    """A link for each model and one for all. The links keep the state. Empty if there is only one model."""
    each = [given._replace(model=model) for model in ("", *models)]
    if len(each) == 2:
        return []
    return [Link(one.model or "every model", url(path, one), one.model == given.model) for one in each]


def url(path: str, given: Filters, **other: str | None) -> str:
    """The path with the filters and other parameters that are not empty."""
    query = {name: value for name, value in (given._asdict() | other).items() if value}
    return f"{path}?{urlencode(query)}" if query else path
