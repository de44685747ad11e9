"""EdgeState: what the rooms of the edge share with the rest of the process, in the scope of every request."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from api.edge.connections import Connections
from api.edge.memory_budget import Budget


@dataclass(frozen=True)
class EdgeState:
    """Made once by the lifespan; `scope["state"]["edge"]` holds it."""

    budget: Budget
    connections: Connections
    release: Callable[[], None]
    """Ends the waits of all requests; called when the process begins to stop."""


def edge_state(scope: Scope) -> EdgeState:
    found: EdgeState = scope["state"]["edge"]
    return found
