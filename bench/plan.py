"""What the load generator is told, a Plan, and what it tells, a Load. It is in `bench/load.py`."""

import msgspec


class Plan(msgspec.Struct):
    port: int
    path: str
    clients: int
    seconds: float
    bodies: list[str]
    contains: str
    """What every good answer has in it."""
    warm_up: float = 1.0
    """Seconds, and two answers for each client, that are not counted."""
    patience: float = 20.0
    """Seconds of counting after which a pass is cut short: the machine is too busy."""
    limit: float = 90.0
    """Seconds for all of it."""
    keep: list[int] = []
    """Numbers of the bodies whose last answers are wanted."""


class Load(msgspec.Struct):
    requests: int
    seconds: float
    """Of what was counted."""
    passes: float
    """Over all bodies; not a whole number when it had to be cut short."""
    mixture: float
    """Mean size of the requests that were counted, by that of all: below 1 the short ones came first."""
    p50: float
    """Milliseconds, as are the others."""
    p95: float
    p99: float
    longest: float
    answered: int
    """Requests from the first to the last, with warm-up and end; `elapsed` and `cpu` are theirs too."""
    elapsed: float
    cpu: float
    """Seconds of processor time that this process took."""
    errors: int
    error: str
    kept: dict[int, str]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds
