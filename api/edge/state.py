"""EdgeState: objects that the edge shares with the rest of the process, in the scope of every request."""

from collections.abc import Callable
from dataclasses import dataclass

from starlette.types import Scope

from api.edge.connections import Connections
from api.edge.memory_budget import Budget


@dataclass(frozen=True)
class EdgeState:
    """Created once by the lifespan and stored in `scope["state"]["edge"]`."""

    budget: Budget
    connections: Connections
    release: Callable[[], None]
    """Ends the waits of all requests. Called when the process begins to stop."""


def edge_state(scope: Scope) -> EdgeState:
    found: EdgeState = scope["state"]["edge"]
    return found
