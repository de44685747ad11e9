"""Checks the names of query parameters and parses lists of values. A misspelt filter must not be ignored."""

from collections.abc import Collection, Iterable

from starlette.requests import Request

from api.problems.problem import Refusal
from jobs.catalog import ModelCatalog
from jobs.errors import UnknownModel
from jobs.ledger.listing import STATES, Filter


async def check_declared(request: Request) -> None:
    """Raises Refusal for query parameters that the route does not declare. For FastAPI's routes."""
    if request.scope["query_string"]:
        check_names(request, [field.alias for field in request.scope["route"].dependant.query_params])


def check_names(request: Request, allowed: Collection[str]) -> None:
    """Raises Refusal if a query parameter's name is not in `allowed`."""
    for name in request.query_params:
        if name not in allowed:
            here = f"allowed here: {', '.join(sorted(allowed))}" if allowed else "none is allowed here"
            raise Refusal(
                "invalid-request", f"query parameter {name[:60]!r} is unknown; {here}", parameter=name[:60]
            )


def listing_filter(states: Iterable[str], models: Iterable[str], catalog: ModelCatalog) -> Filter:
    """The filter of a listing, from repeated parameters and values separated by commas.

    Raises Refusal for a state that does not exist, UnknownModel for a model that is not served.
    """
    wanted = frozenset(_split(states))
    for state in wanted:
        if state not in STATES:
            raise Refusal(
                "invalid-request",
                f"query parameter 'state': give {', '.join(STATES[:-1])} or {STATES[-1]}, not {state[:60]!r}",
                parameter="state",
            )
    return Filter(wanted, frozenset(_model(name, catalog) for name in _split(models)))


def _model(name: str, catalog: ModelCatalog) -> str:
    try:
        return catalog[name].name
    except UnknownModel as error:
        raise UnknownModel(str(error)) from None  # drop its pointer, which points into a body


def _split(given: Iterable[str]) -> list[str]:
    return [value for values in given for value in values.split(",")]
