"""Input (Plan) and result (Load) of the load generator in `bench/load.py`."""

import msgspec


class Plan(msgspec.Struct):
    port: int
    path: str
    clients: int
    seconds: float
    bodies: list[str]
    """JSON."""
    contains: str
    """Text that a correct answer contains."""
    warm_up: float = 1.0
    """Seconds before counting starts; at least two answers per client are not counted either."""
    patience: float = 20.0
    """Seconds of counting after which a pass is ended early because the machine is too busy."""
    limit: float = 90.0
    """Most seconds for the whole run."""
    keep: list[int] = []
    """Indices of the bodies whose last answers are returned."""
    media: list[bytes] = []
    """Bodies in place of JSON."""
    content_type: str = "application/json"


class Load(msgspec.Struct):
    requests: int
    seconds: float
    """Duration of the counted part."""
    passes: float
    """Passes over all bodies; not a whole number if the run was ended early."""
    mixture: float
    """Mean size of the counted requests relative to all; below 1 short requests are over-represented."""
    p50: float
    """Milliseconds, like p95, p99 and longest."""
    p95: float
    p99: float
    longest: float
    answered: int
    """All requests, including warm-up and end; `elapsed` and `cpu` cover the same requests."""
    elapsed: float
    cpu: float
    """Seconds of processor time of this process."""
    errors: int
    error: str
    kept: dict[int, str]

    @property
    def rate(self) -> float:
        return self.requests / self.seconds
