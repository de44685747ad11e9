"""ChunkRun: one run of a chunk: its lines become jobs, and the results of the jobs become rows.

1. Each line is read by the call that the batch is for. A bad line gets an error row.
2. Lines with equal parameters share jobs (`groups.py`), which are put into the queue (`queueing.py`).
3. The results of a job are divided among its lines (`answers.py`).
4. If a job failed as a whole, perhaps because of one line, the others run again: its lines in two halves, and
   so on, until the failing line is alone. Only that one fails.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from api.line_calls import LineCall, Result
from api.problems.problem import Refusal
from bulk.batches.batch import Batch
from bulk.runner.lines import media_outputs, sizes
from bulk.runner.lines.answers import Answers, Found, divided, is_of_the_job
from bulk.runner.lines.groups import Group, Parsed, Part, groups, size_of
from bulk.runner.lines.interface import Line, Rows, Stop
from bulk.runner.lines.offers import LinesFailed, Offered, all_of
from bulk.runner.lines.queueing import Queueing
from bulk.runner.lines.room import Room
from bulk.runner.lines.rows import Row
from bulk.runner.lines.tools import Tools
from jobs.catalog import ModelCatalog
from jobs.errors import JobTooLarge
from jobs.schema import Job, JobState, NewJob

BYTES_AT_ONCE = 64 * 1024
"""Bytes of lines that are read without letting other tasks run."""


class ChunkRun:
    """Runs the lines of a chunk, once."""

    def __init__(
        self,
        tools: Tools,
        batch: Batch,
        call: LineCall[Any],
        catalog: ModelCatalog,
        room: Room,
        stop: Stop,
    ) -> None:
        """`catalog` has the models that the batch may use. `room` bounds what it has in the queue."""
        self._tools = tools
        self._batch = batch
        self._call = call
        self._catalog = catalog
        self._room = room
        self._stop = stop
        self._answers = Answers(batch.id, call)
        self._queueing = Queueing(tools.ledger, tools.ends, batch.owner, stop)
        self._rows: list[Row] = []
        self._left: list[Line] = []
        self._jobs: list[str] = []
        self._unyielded = 0

    async def run(self, lines: Sequence[Line]) -> Rows:
        """Returns the outcomes of all lines. Raises what it cannot wait for, such as CancelledError."""
        parsed = [one for line in lines if (one := await self._read(line)) is not None]
        if parsed:
            spec = self._catalog[parsed[0].job.model]
            most_bytes = self._tools.settings.max_request_bytes
            planned = groups(parsed, sizes.inputs_per_job(spec), most_bytes)
            del parsed
            await all_of(self._run(group) for group in planned)
        rows = sorted(self._rows, key=lambda row: row.line.number)
        return Rows(
            [row.data for row in rows if not row.failed],
            [row.data for row in rows if row.failed],
            sorted(self._left),
            sum(row.tokens for row in rows),
            self._jobs,
        )

    async def _read(self, line: Line) -> Parsed | None:
        """A line that can run; None if it has its row now."""
        self._unyielded += len(line.body)
        if self._unyielded > BYTES_AT_ONCE:
            self._unyielded = 0
            await asyncio.sleep(0)
        try:
            job, context = self._call.parse(line.body, self._catalog, self._tools.settings)
            size = size_of(line, job, self._catalog[job.model])
            self._check_queue(job, size)
        except Exception as error:
            self._rows.append(self._answers.refused(line, error))
            return None
        if job.has_media:
            job = replace(job, inputs=None)  # read again when it is submitted
        return Parsed(Part(line, context, job.count), job, size)

    def _check_queue(self, job: NewJob, size: int) -> None:
        """Raises Refusal for a job that the queue would not even take while it is empty."""
        settings = self._tools.settings
        if job.count > settings.max_queued_inputs or size > settings.max_queued_bytes:
            raise Refusal("payload-too-large", "the line has more inputs or bytes than the queue may hold")

    async def _run(self, group: Group) -> None:
        again: Sequence[Part] = group.parts
        async with self._room.take(group.count) as since:
            gate = None if group.job is not None else self._tools.gate
            offer = Offered(self._batch, group, self._make, gate)
            try:
                found = await self._queueing.run(offer, f"{self._batch.id}/{group.name}")
                if found is not None and found.job.started_at is not None:
                    waited = found.job.started_at - found.job.created_at
                    self._room.waited(waited.total_seconds(), since)
                again = await self._answer(group, found)
            except LinesFailed as failed:
                bad = [part for part in group.parts if part.line.number in failed.errors]
                self._rows += [
                    self._answers.refused(part.line, failed.errors[part.line.number]) for part in bad
                ]
                again = [part for part in group.parts if part not in bad]
            except JobTooLarge as error:  # for a limit of the sender's key
                if len(group.parts) == 1:
                    self._rows.append(self._answers.refused(group.parts[0].line, error))
                    return
            finally:
                offer.accepted()
        await all_of(self._run(half) for half in group.halves(again))

    async def _make(self, line: Line) -> NewJob:
        job, _ = self._call.parse(line.body, self._catalog, self._tools.settings)
        return await self._tools.media.included(job, self._batch) if job.has_media else job

    async def _answer(self, group: Group, found: Found | None) -> Sequence[Part]:
        """Makes rows of what is known; returns the lines that must run again, in other jobs."""
        if found is None or (self._stop and found.job.status is JobState.CANCELLED and not found.results):
            self._left += [part.line for part in group.parts]
            return ()
        self._jobs.append(found.job.id)
        alone = len(group.parts) == 1
        if len(found.results) != group.count:  # the job ended before its inputs ran
            if not alone and found.job.status is not JobState.CANCELLED:
                return group.parts
            for part in group.parts:
                self._rows.append(self._answers.of(part, found.job, (), None))
            return ()
        again = []
        for part, results, tokens in divided(found, group.parts):
            known = [result for result in results if result is not None]
            if len(known) < len(results):
                self._left.append(part.line)
            elif not alone and any(map(is_of_the_job, known)):
                again.append(part)
            else:
                self._rows.append(await self._row(part, found.job, known, tokens))
        return again

    async def _row(self, part: Part, job: Job, results: Sequence[Result], tokens: int | None) -> Row:
        try:
            results = await media_outputs.included(results, job.id, self._queueing.file)
        except Refusal as refusal:
            return self._answers.refused(part.line, refusal, job.id, tokens or 0)
        return self._answers.of(part, job, results, tokens)
