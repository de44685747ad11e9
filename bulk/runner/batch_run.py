"""BatchRun: takes one batch from its present state to its end."""

import asyncio
import secrets
from collections.abc import Sequence
from contextlib import suppress

import structlog
from msgspec.structs import replace

from bulk.batches.batch import Batch, BatchState, Counts, Fault
from bulk.batches.runs import LeaseLost, NewOutput, Refused, Runs, Taken
from bulk.files.file import File
from bulk.files.files import Files
from bulk.runner.chunks import Chunks
from bulk.runner.input_lines import split
from bulk.runner.lease import Lease
from bulk.runner.lines.interface import Lines
from bulk.runner.outputs import Outputs
from bulk.runner.parts import Chunk, Parts
from bulk.runner.retries import Retries
from bulk.runner.stopping import uninterrupted
from bulk.runner.validation import Validation
from bulk.storage.storage import Storage
from jobs.catalog import ModelCatalog
from jobs.errors import FileNotFound, ObjectNotFound, QueueUnavailable, UnknownModel
from jobs.process import failpoints
from jobs.process.backoff import Backoff
from jobs.settings import Settings
from jobs.store.connection import cancel

log = structlog.get_logger(__name__)

TRIES = 5
"""Times that a step of a batch is tried on which the code fails unexpectedly."""
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 10.0
"""Seconds between tries."""

MOST_LOST = 5
"""Runners that may be lost in succession while they run a batch, without progress of it in between. With one
more it fails: it would end the processes that run the other batches too."""
SUSPECT = 2
"""Such runners from which on a batch may be the reason, so that no others are begun beside it."""

BROKEN = Fault(code="internal_error", message="the server failed on this batch; its log has the reason")


class BatchRun:
    """The work on one batch while this process holds its lease."""

    def __init__(
        self,
        taken: Taken,
        runs: Runs,
        files: Files,
        storage: Storage,
        lines: Lines,
        catalog: ModelCatalog,
        settings: Settings,
    ) -> None:
        self._taken = taken
        self._runs = runs
        self._files = files
        self._lines = lines
        self._catalog = catalog
        self._settings = settings
        self._parts = Parts(storage, taken.batch.id)
        self._lease = Lease(runs, taken, settings.renew_every)
        self._log = log.bind(batch=taken.batch.id)
        self._retried = Retries(self._log)
        self._began = False
        """Whether this process has run chunks of the batch."""

    @property
    def suspect(self) -> bool:
        """Whether the batch may be the reason that runners were lost, until it makes progress."""
        return self._lease.lost >= SUSPECT

    @property
    def _batch(self) -> Batch:
        return self._taken.batch

    async def run(self) -> None:
        """Returns when the batch has ended or its lease is lost. If cancelled, it gives the batch back."""
        event = "batch taken over" if self._taken.taken_over else "batch started"
        self._log.info(
            event, status=self._batch.status.value, owner=self._batch.owner or None, lost=self._batch.lost
        )
        keep, work = asyncio.create_task(self._lease.keep()), asyncio.create_task(self._work())
        try:
            await asyncio.wait({keep, work}, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                keep.result()  # raises after a bug
                self._log.warning("batch lost to another process")
                return
            with suppress(LeaseLost):
                await work
        except asyncio.CancelledError:
            await uninterrupted(self._give_back(keep, work))
            raise
        finally:
            await cancel(keep, work)

    async def _give_back(self, *tasks: asyncio.Task[None]) -> None:
        await cancel(*tasks)
        with suppress(LeaseLost, QueueUnavailable):  # else its lease ends by itself
            await self._runs.release(self._taken)

    async def _work(self) -> None:
        status, backoff = self._batch.status, Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while not status.terminal:
            try:
                status = await self._step(status)
            except Refused as refused:  # it was cancelled meanwhile, or its lease was lost and taken again
                status = refused.status
            except ObjectNotFound as error:
                message = f"a part of the batch is gone from the storage of files: {error}"
                status = await self._fail([Fault(code="data_lost", message=message)], await self._rest())
            except LeaseLost:
                raise
            except Exception:  # after a bug, the batch must end all the same
                self._log.exception("batch interrupted", status=status.value)
                if backoff.failed() >= TRIES:
                    status = await self._fail([BROKEN], await self._rest())
                else:
                    await asyncio.sleep(backoff.pause)
        failpoints.reach("after_finish_batch")
        await self._retried(self._parts.delete)
        await self._retried(lambda: self._runs.clear(self._taken))

    async def _step(self, status: BatchState) -> BatchState:
        """Takes the batch from one state to the next one, which it returns."""
        if self._batch.lost > MOST_LOST:
            return await self._give_up()
        if status is BatchState.VALIDATING:
            return await self._validate()
        if status is BatchState.IN_PROGRESS:
            return await self._run_chunks()
        if status is BatchState.CANCELLING:
            self._lease.stop.set("cancelled")
            await self._save_known()
        return await self._finish(status)

    async def _validate(self) -> BatchState:
        asked, name = self._batch.asked, secrets.token_hex(8)
        try:
            file = await self._retried(lambda: self._files.get(asked.input_file_id, sees=None))
            validation = await self._retried(lambda: self._validated(file))
            if not validation.faults:
                await self._retried(lambda: self._parts.put_input(name, self._files.content(file)))
        except FileNotFound:
            message = f"the input file {asked.input_file_id} was deleted, or its lifetime is over"
            return await self._fail([Fault(code="file_not_found", message=message)])
        if validation.faults:
            return await self._fail(validation.faults)
        assert validation.spec is not None
        model, total, chunks = validation.spec.name, validation.total, len(validation.chunks)
        await self._retried(lambda: self._parts.put_table(name, validation.chunks))
        failpoints.reach("before_begin")
        await self._retried(
            lambda: self._runs.begin(self._taken, model=model, total=total, chunks=chunks, table=name)
        )
        failpoints.reach("after_begin")
        batch = replace(
            self._batch, model=model, counts=Counts(total), chunks=chunks, table=name, outcome=None
        )
        self._taken = self._taken._replace(batch=batch)
        self._log.info("batch validated", model=model, requests=total, chunks=chunks)
        return BatchState.IN_PROGRESS

    async def _validated(self, file: File) -> Validation:
        settings = self._settings
        longest = settings.max_request_bytes
        validation = Validation(self._batch.asked, self._lines, settings.max_batch_lines, longest)
        await validation.read(split(self._files.content(file), longest))
        return validation

    async def _run_chunks(self) -> BatchState:
        self._began = True
        await (await self._chunks()).run(self._at_once())
        if self._lease.stop.reason == "cancelled":
            return BatchState.CANCELLING
        failpoints.reach("before_finalize")
        await self._retried(lambda: self._runs.finalize(self._taken))
        failpoints.reach("after_finalize")
        return BatchState.FINALIZING

    async def _save_known(self) -> None:
        """Saves outcomes of a runner that was lost; this process has saved those of its own chunks."""
        if self._batch.table is not None and not self._began:
            with suppress(ObjectNotFound):  # what is recorded is enough
                await (await self._chunks()).run(self._at_once())

    async def _chunks(self) -> Chunks:
        assert self._batch.table is not None
        table = self._batch.table
        found: list[Chunk] = await self._retried(lambda: self._parts.table(table))
        return Chunks(
            self._taken,
            found,
            self._runs,
            self._parts,
            self._lines,
            self._lease.stop,
            self._retried,
        )

    def _at_once(self) -> int:
        try:
            spec = self._catalog[self._batch.model or ""]
        except UnknownModel:  # it is not served any more: each line fails
            return 1
        return self._lines.chunks_at_once(self._batch.asked.endpoint, spec)

    async def _outputs(self) -> Outputs:
        found = await self._retried(lambda: self._runs.parts(self._batch))
        parts = [found[chunk] for chunk in sorted(found)]
        return Outputs(self._files, self._parts, self._taken, parts)

    async def _finish(self, status: BatchState) -> BatchState:
        outputs = await self._outputs()
        files = await self._retried(outputs.write)
        failpoints.reach("before_finish_batch")
        ended = await self._retried(lambda: self._runs.finish(self._taken, files))
        completed = sum(part.completed for part in outputs.parts)
        failed = sum(part.failed for part in outputs.parts)
        self._log.info("batch ended", status=ended.value, completed=completed, failed=failed)
        return ended

    async def _give_up(self) -> BatchState:
        """Ends a batch with which runners are lost. Its recorded chunks are kept, unless that lost one."""
        lost = self._batch.lost
        message = (
            f"{lost} processes in succession ended while they ran this batch, and none made progress with it;"
            " their logs may have the reason"
        )
        files = await self._rest() if lost == MOST_LOST + 1 else []
        return await self._fail([Fault(code="runner_lost", message=message)], files)

    async def _rest(self) -> Sequence[NewOutput]:
        """Cancels the jobs of a batch that fails. Returns the files of its chunks, if these can be read."""
        self._lease.stop.set("failed")
        if self._batch.table is None:
            return ()
        try:
            await (await self._chunks()).run(self._at_once())
        except LeaseLost:
            raise
        except Exception as error:
            self._log.warning("jobs of a failed batch may remain in the queue", error=str(error))
        outputs = await self._outputs()
        try:
            return await self._retried(outputs.write)
        except Exception as error:
            self._log.warning("a failed batch has no output files", error=str(error))
            return ()

    async def _fail(self, faults: Sequence[Fault], files: Sequence[NewOutput] = ()) -> BatchState:
        await self._retried(lambda: self._runs.fail(self._taken, faults, files))
        first = faults[0]
        self._log.info("batch ended", status="failed", faults=len(faults), code=first.code, line=first.line)
        return BatchState.FAILED
