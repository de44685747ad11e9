"""Run: sends the parts of INPUT, follows their batches, and downloads the answers.

1. A part is uploaded and its batch created, a few at a time. The state file says so before and after.
2. The batches are followed until all have ended. While the server does not answer, it is asked again.
3. The answers are downloaded to a temporary folder: there may be more than one process can have open.
"""

import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

from cli.batch import parts, state
from cli.batch.errors import CannotContinue, Unavailable
from cli.batch.progress import Bar
from cli.batch.requests import Source
from cli.batch.server import Batch, Server
from cli.batch.state import Part, State

T = TypeVar("T")

OPEN = 2
"""Batches that may be unfinished at a time: the next one waits while one runs."""
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 2.0
"""Seconds between two looks at the batches, growing."""
LONGEST_RETRY = 10.0
RUN, PART = "batchline_run", "batchline_part"
"""Names in the metadata of a batch."""


class Options(NamedTuple):
    """How a run is sent."""

    limits: parts.Limits
    patience: float
    """Seconds without an answer of the server after which to give up."""
    media: Path | None = None
    """An archive whose entries the rows name."""
    lifetime: int | None = None
    """Seconds after which the server deletes the run's files."""


ARCHIVE_LIFETIME = 30 * 86_400
"""Seconds, if none are given: an archive is kept until it is deleted, and a run may be abandoned."""


class Ended(NamedTuple):
    """A part whose batch has ended, and its answers: output and errors."""

    part: Part
    batch: Batch
    files: Sequence[Path]


class Run:
    """One run of a source, from its state on."""

    def __init__(
        self, server: Server, source: Source, saved: State, path: Path, options: Options, exits: ExitStack
    ) -> None:
        """`path` is that of the state. `exits` deletes the downloaded files."""
        self._server = server
        self._source = source
        self._state = saved
        self._path = path
        self._options = options
        self._batches: dict[int, Batch] = {}
        self._exits = exits
        self._bar = Bar()

    def finish(self, name: str) -> list[Ended]:
        """Does what is left, and returns the answers. `name` is for the uploaded files."""
        with self._bar:
            for number, part in enumerate(self._state.parts):
                self._follow(number, part, tried=True)
            if not self._state.complete:
                self._send(name)
            self._wait_until(lambda: all(batch.ended for batch in self._batches.values()))
            self._refuse_failed()
            return self._downloaded()

    def forget(self) -> None:
        """Deletes the state of a run that is over, and its archive, which counts in the owner's quota."""
        self._path.unlink(missing_ok=True)
        if self._state.media is not None:
            with suppress(CannotContinue):  # the server deletes it later
                self._server.delete(self._state.media)

    def cancel(self) -> None:
        """Cancels what has been sent, and sends nothing more."""
        self._state.complete = True
        for number, part in enumerate(self._state.parts):
            if part.batch is None and (
                found := self._patiently(partial(found_by, self._server, self._metadata(number)))
            ):
                part.batch = found.id
            if part.batch is not None:
                self._patiently(partial(self._cancel, part.batch))
        self._state.parts = [part for part in self._state.parts if part.batch is not None]
        self._save()

    def _cancel(self, batch_id: str) -> None:
        """Cancels a batch, unless it has ended or ends meanwhile, which the server refuses."""
        try:
            if not self._server.batch(batch_id).ended:
                self._server.cancel(batch_id)
        except CannotContinue:
            if not self._server.batch(batch_id).ended:
                raise

    def _send(self, name: str) -> None:
        self._show("reading")
        for found in parts.files(self._source, self._state.lines, self._options.limits):
            self._wait_until(lambda: sum(not each.ended for each in self._batches.values()) < OPEN)
            self._refuse_failed()
            self._send_media()
            number = len(self._state.parts)
            self._show(f"uploading part {number + 1}" if number else "uploading")
            upload = partial(self._server.upload, found.file, name, "batch", self._options.lifetime)
            part = Part(found.lines, self._patiently(upload))
            self._state.parts.append(part)
            self._save()
            self._follow(number, part, tried=False)
        self._state.complete = True
        self._save()

    def _send_media(self) -> None:
        """Uploads the archive of media, once for all parts."""
        if self._options.media is None or self._state.media is not None:
            return
        self._show("uploading the archive")
        lifetime = self._options.lifetime or ARCHIVE_LIFETIME
        with self._options.media.open("rb") as file:
            upload = partial(self._server.upload, file, self._options.media.name, "user_data", lifetime)
            self._state.media = self._patiently(upload)
        self._save()

    def _follow(self, number: int, part: Part, *, tried: bool) -> None:
        """Learns the batch of a part, which is created if there is none. `tried`: there may be one."""
        if part.batch is None:
            part.batch = self._patiently(self._creation(number, part, tried)).id
            self._save()
        self._batches[number] = self._patiently(partial(self._server.batch, part.batch))

    def _creation(self, number: int, part: Part, tried: bool) -> "_Creation":
        metadata, options = self._metadata(number), self._options
        create = partial(
            self._server.create,
            part.file,
            self._source.endpoint,
            metadata,
            media=self._state.media,
            lifetime=options.lifetime,
        )
        return _Creation(create, partial(found_by, self._server, metadata), tried)

    def _metadata(self, number: int) -> dict[str, str]:
        return {RUN: self._state.run, PART: str(number)}

    def _wait_until(self, done: Callable[[], bool]) -> None:
        pause = FIRST_PAUSE
        while True:
            self._show()
            if done():
                return
            time.sleep(pause)
            pause = min(pause * 1.5, LONGEST_PAUSE)
            for number, batch in self._batches.items():
                if not batch.ended:
                    self._batches[number] = self._patiently(partial(self._server.batch, batch.id))

    def _refuse_failed(self) -> None:
        for batch in self._batches.values():
            if batch.status == "failed":
                self.forget()  # the same command would find the same
                raise CannotContinue(f"the server refused the file of batch {batch.id}: {reasons(batch)}")

    def _downloaded(self) -> list[Ended]:
        found = []
        folder = Path(self._exits.enter_context(tempfile.TemporaryDirectory(prefix="batchline-")))
        for number, part in enumerate(self._state.parts):
            if (batch := self._batches.get(number)) is None:
                continue
            self._show("downloading")
            named = {"output": batch.output_file_id, "errors": batch.error_file_id}
            files = [self._file(folder / f"{number}-{name}", each) for name, each in named.items() if each]
            found.append(Ended(part, batch, files))
        return found

    def _file(self, path: Path, file_id: str) -> Path:
        with path.open("w+b") as into:
            self._patiently(partial(self._server.download, file_id, into))
        return path

    def _patiently(self, call: Callable[[], T]) -> T:
        """Repeats a call while the server cannot answer. Raises Unavailable after `patience` seconds."""
        deadline, pause = time.monotonic() + self._options.patience, FIRST_PAUSE
        while True:
            try:
                return call()
            except Unavailable as error:
                wait = max(pause, error.retry_after or 0.0)
                if time.monotonic() + wait > deadline:
                    raise
                self._show(f"waiting: {error}")
                time.sleep(wait)
                pause = min(pause * 2, LONGEST_RETRY)

    def _show(self, what: str = "") -> None:
        counts = [batch.counts for batch in self._batches.values()]
        states = {batch.status for batch in self._batches.values() if not batch.ended}
        usual = "done" if self._state.complete else "reading"
        doing = what or next((each for each in STATES if each in states), usual)
        done, failed = sum(each.done for each in counts), sum(each.failed for each in counts)
        self._bar.show(doing.replace("_", " "), done, failed, self._state.lines if counts else None)

    def _save(self) -> None:
        state.save(self._path, self._state)


class _Creation:
    """Creates the batch of a part once, however often it is called."""

    def __init__(
        self, create: Callable[[], Batch], existing: Callable[[], Batch | None], tried: bool
    ) -> None:
        self._create = create
        self._existing = existing
        self._tried = tried

    def __call__(self) -> Batch:
        if self._tried and (found := self._existing()):
            return found
        self._tried = True  # the request may arrive although its answer does not
        return self._create()


def found_by(server: Server, metadata: dict[str, str]) -> Batch | None:
    """The batch with these metadata."""
    return next((each for each in server.batches() if each.metadata == metadata), None)


STATES = ("in_progress", "validating", "cancelling", "finalizing")
"""States of batches that have not ended; that of the first one found is shown."""


def reasons(batch: Batch, most: int = 3) -> str:
    """Why a batch failed."""
    faults = batch.errors.data if batch.errors else []
    shown = [f"line {each.line}: {each.message}" if each.line else each.message for each in faults[:most]]
    more = f"; and {len(faults) - most} more" if len(faults) > most else ""
    return "; ".join(shown) + more if shown else "it does not say why"
