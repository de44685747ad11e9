"""What a model's finished jobs take in Redis' memory, and how many jobs/s the free memory carries."""

from typing import NamedTuple

from api.health.footprint_cache import free_memory
from api.health.observation import Observation
from jobs.monitoring.footprints import Footprint


class MemoryFigure(NamedTuple):
    """The memory of a model's finished jobs. None means that there is nothing to say."""

    job_bytes: float
    """Of one finished job."""
    seconds: float
    """For which it is kept."""
    jobs_rate: float
    """Jobs that ended per second, over the last minute."""
    together: float | None
    """Bytes of all finished jobs at that rate."""
    free: int | None
    """Free bytes of all primaries together."""
    carried: float | None
    """Jobs per second whose results fit into `free`, beyond what is stored now. Jobs are spread evenly over
    the shards, so primaries with unequal shares carry less."""


def memory_figure(footprint: Footprint | None, jobs_rate: float, seen: Observation) -> MemoryFigure | None:
    """The figure of a model; None if no job of it has ended recently, or if the server does not say."""
    if footprint is None:
        return None
    free = free_memory(seen.servers)
    return MemoryFigure(
        job_bytes=footprint.bytes,
        seconds=footprint.seconds,
        jobs_rate=jobs_rate,
        together=footprint.together(jobs_rate) if jobs_rate else None,
        free=free,
        carried=None if free is None else footprint.rate_in(free),
    )
