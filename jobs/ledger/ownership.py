"""Ownership: whether a caller may see a job. Every job that the ledger returns has passed `shown`.

`sees` is the owner whose jobs the caller may read and end, or None for those of all owners; the anonymous
owner is "". Two scripts check it themselves, before they write: `cancel.lua` and `watch.lua`.
"""

from msgspec import UNSET
from msgspec.structs import replace

from jobs.schema import Job


def shown(job: Job, sees: str | None) -> Job | None:
    """Returns the job as the caller may see it: with its owner if all owners are seen; None if not at all."""
    if sees is None:
        return job
    if (job.owner or "") != sees:
        return None
    return replace(job, owner=UNSET) if job.owner else job


def argument(sees: str | None) -> str:
    """Returns `sees` as an argument of a script: `*` for all owners, `=alice` for one."""
    return "*" if sees is None else f"={sees}"
