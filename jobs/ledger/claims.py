"""Claims: the worker's operations on one shard: claim, start, note, renew, finish, release.

`rounds.py` chooses the shard of a claim.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import msgspec

from jobs.ledger import beside, doorbell, keys, pieces, records
from jobs.ledger.leasing import Claimed, Ending, Progress, claims, new_token
from jobs.ledger.partials import Appended
from jobs.ledger.shard import Shard
from jobs.media.values import Stored
from jobs.process import failpoints
from jobs.store.lua import script

UNREADABLE = ("invalid-request", "the payload cannot be read: its key holds another program's data")
"""The error of a job whose payload another program replaced with a value that is not a string."""

UNREADABLE_DETAIL = records.detail_of_unread(UNREADABLE)
UNREADABLE_RESULTS = records.results_of_unread(UNREADABLE)

PROGRESS_TTL = 86_400_000
"""ms; of the outcomes of a running job, and of their files"""


class Answer(NamedTuple):
    """What a claim returns."""

    claimed: list[Claimed]
    left: int
    """Jobs that still wait."""
    head: float | None
    """Score of the most urgent of them."""
    inputs: int
    """Inputs of the claimed jobs."""
    owners: frozenset[str] = frozenset()
    """Owners with jobs that still wait, if some of them are named."""


class Claims:
    """Leases jobs of one shard to one worker and ends or returns them. Its methods raise QueueUnavailable."""

    def __init__(self, shard: Shard, worker: str = "") -> None:
        """`worker` is the id of the worker, as in its heartbeat."""
        self.shard = shard
        self._worker = worker

    async def claim(
        self,
        model: str,
        inputs: int,
        workers: int = 1,
        *,
        size: int | None = None,
        before: Mapping[str, float] = {},
        share: int | None = None,
        preferred: float = 0.0,
        wait: float = 0.0,
    ) -> Answer:
        """Leases the most urgent jobs, up to `inputs` inputs; none of them if that is 0.

        Stops at the first job that brings the payloads to `size` bytes or more, by default `window_bytes`.
        With several `workers` on the queue a claim takes its share, so that they finish a burst together.
        Of the owners in `before` it takes only more urgent jobs, with a score below that; with `share`, of
        all owners after that many inputs, with scores below `preferred`. With `wait` it first waits up
        to that many seconds for a submit; Redis then runs the claim without another round trip.
        """
        token = new_token(self._worker)
        parameters = self.shard.parameters(
            script("claim"),
            model,
            inputs=inputs,
            share=inputs if share is None else share,
            preferred=int(preferred),
            size=self.shard.settings.window_bytes if size is None else size,
            token=token,
            workers=workers,
            before=msgspec.msgpack.encode({owner: int(score) for owner, score in before.items()})
            if before
            else b"",
            unreadable=UNREADABLE_DETAIL,
            unreadable_results=UNREADABLE_RESULTS,
        )
        if wait:
            bell = self.shard.key(keys.DOORBELL, model)
            call = partial(doorbell.answer, self.shard.redis, bell, wait, script("claim"), parameters)
        else:
            call = partial(script("claim").run, self.shard.redis, parameters)
        now, left, head, taken, owners, *rest = await self.shard.call(call)
        if inputs:  # otherwise it leases nothing: `Rounds` looks for the next job
            failpoints.reach("after_claim")
        claimed = claims(rest, token, now, self._worker, self.shard.number)
        waiting = frozenset(owner.decode() for owner in owners)
        return Answer(claimed, left, None if head is None else float(head), taken, waiting)

    async def start(self, model: str, jobs: Iterable[Claimed]) -> None:
        """Charges an attempt to jobs whose first batch starts."""
        each = [part for job in jobs for part in (job.id, job.token, job.attempts + 1)]
        await self.shard.run(script("start"), model, each)

    async def renew(self, model: str, jobs: Iterable[Claimed]) -> tuple[set[str], set[str]]:
        """Extends the leases; returns the ids of jobs with a lost lease, and of jobs that ended elsewhere."""
        each = [part for job in jobs for part in (job.id, job.token)]
        lost, over = await self.shard.run(script("renew"), model, each)
        return {job_id.decode() for job_id in lost}, {job_id.decode() for job_id in over}

    async def note(self, progress: Iterable[Progress]) -> set[str]:
        """Appends outcomes of jobs whose lease is still valid, for readers and for the next worker.

        Returns the ids of jobs whose outcomes must all be sent again.
        """
        each: list[Any] = []
        for job in progress:
            spent = " {} {}".format(*job.spent) if job.spent else ""
            each += (job.id, job.token, job.before, job.succeeded, job.failed, spent, len(job.outcomes))
            each += job.outcomes
        deleted = await self.shard.run(script("progress"), "", each, lifetime=PROGRESS_TTL)
        failpoints.reach("after_note")
        return {job_id.decode() for job_id in deleted}

    async def append(self, partials: Iterable[Appended]) -> list[int]:
        """Appends partial answers of jobs whose lease is still valid, and publishes them.

        Returns the length of each job's partial answers; REFUSED or FOREIGN if nothing was appended.
        """
        each = [part for one in partials for part in one]
        lengths: list[int] = await self.shard.run(script("partials"), "", each, lifetime=PROGRESS_TTL)
        return lengths

    async def store(self, files: Iterable[tuple[Claimed, str, bytes]]) -> None:
        """Writes files of outputs, by job and name, of jobs whose lease is still valid."""
        each: list[Any] = []
        for job, name, content in files:
            for field, piece in pieces.split(name, content):
                each += (job.id, job.token, field, piece)
            if len(content) > pieces.PIECE:
                each += (job.id, job.token, name + pieces.SIZE, str(len(content)))
        await self.shard.run(script("files"), "", each, lifetime=PROGRESS_TTL)
        failpoints.reach("after_files")

    async def media(self, wanted: Mapping[str, Sequence[Stored]]) -> dict[str, list[bytes | None]]:
        """Returns media beside the payloads of jobs, by job id; None for one that is gone."""
        return await beside.read(self.shard, wanted)

    async def noted(self, job_id: str) -> list[bytes]:
        """Returns the outcomes that `note` appended, by any worker, in that order."""
        async with self.shard.integrity.intact():
            key = self.shard.key(keys.PROGRESS, job_id)
            found: list[bytes] = await self.shard.redis.lrange(key, 1, -1)  # type: ignore[misc]
        return found

    async def spent(self, job_id: str) -> tuple[int, int]:
        """Returns the tokens and the microseconds that `note` stored, by any worker."""
        async with self.shard.integrity.intact():
            head = await self.shard.redis.lindex(self.shard.key(keys.PROGRESS, job_id), 0)  # type: ignore[misc]
        try:
            _, _, tokens, us = map(int, head.split())
        except (AttributeError, ValueError):  # no progress, or that of an earlier release
            return 0, 0
        return tokens, us

    async def finish(self, model: str, endings: Sequence[Ending]) -> set[str]:
        """Ends the jobs whose lease is still valid, in one step; returns the ids of the refused ones."""
        failpoints.reach("before_finish")
        each = [
            part for e in endings for part in (e.id, e.token, e.state, e.head, e.results, e.terms, e.inputs)
        ]
        refused = await self.shard.run(script("finish"), model, each, many_jobs=True)
        failpoints.reach("after_finish")
        return {job_id.decode() for job_id in refused}

    async def release(
        self, model: str, jobs: Sequence[tuple[Claimed, int]], *, uncharged: bool = True
    ) -> int:
        """Returns jobs without a result to the queue, each with its latest start in Unix ms, or 0 for none.

        `uncharged` removes the attempts of their starts; False if the worker could not stop them in order.
        """
        each = [
            part
            for job, start_by in jobs
            for part in (
                job.id,
                job.token,
                job.score,
                start_by,
                job.attempts if uncharged else "",
                job.owner,
            )
        ]
        given_back: int = await self.shard.run(script("release"), model, each)
        return given_back
