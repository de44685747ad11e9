"""Tools: the services that running lines needs."""

import asyncio
from dataclasses import dataclass, field

from bulk.runner.job_ends import JobEnds
from bulk.runner.lines.media import LineMedia
from jobs.ledger.ledger import Ledger
from jobs.settings import Settings

JOBS_WITH_MEDIA = 4
"""Jobs with media, each of up to 16 lines, that are in the memory of this process until Redis has them."""


@dataclass(frozen=True)
class Tools:
    """Created once by the runner's process."""

    ledger: Ledger
    ends: JobEnds
    settings: Settings
    media: LineMedia
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(JOBS_WITH_MEDIA))
    """Bounds the jobs with media that are in memory."""
