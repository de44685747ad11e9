"""Media of lines that are not in their bodies: links, and entries of the archive of the batch.

Links are fetched if the operator allows it (`api/links.py`). The archive is a zip file of the owner, which
the batch names as `media_file_id`; an input `archive:photos/cat.png` is its entry `photos/cat.png`.
"""

import asyncio
from collections import OrderedDict
from collections.abc import AsyncIterator

from msgspec.structs import replace

from api.links import Links
from bulk.batches.batch import Batch
from bulk.files.file import File
from bulk.files.files import Files
from bulk.runner.lines.archive import Archive
from bulk.runner.lines.zip_directory import BadArchive
from bulk.runner.retries import Retries
from jobs.catalog import ModelCatalog
from jobs.errors import FileNotFound, InvalidRequest, ObjectNotFound
from jobs.inputs import admit_inputs
from jobs.media.encoded import ENTRY
from jobs.media.values import Link, Medium, changed, links
from jobs.schema import NewJob
from jobs.settings import Settings

MAX_ARCHIVES = 4
"""Most archives whose directories are in memory."""


class LineMedia:
    """Replaces links, and names of entries, by media."""

    def __init__(
        self, links: Links, files: Files, catalog: ModelCatalog, settings: Settings, retried: Retries
    ) -> None:
        self._links = links
        self._files = files
        self._catalog = catalog
        self._most = settings.max_request_bytes
        self._retried = retried
        self._open: OrderedDict[tuple[str, str], tuple[File, Archive | BadArchive]] = OrderedDict()
        """By the file and its owner. A bad one is kept too: each line of a batch asks for it."""
        self._opening = asyncio.Lock()

    async def included(self, job: NewJob, batch: Batch) -> NewJob:
        """The job with its media. Raises InvalidRequest with the pointer of what is wrong."""
        named = {link.url: at for at, link in links(job.inputs) if link.url[: len(ENTRY)].lower() == ENTRY}
        if named:
            media: dict[str, bytes] = {}
            left = self._most
            for url, pointer in named.items():
                media[url] = await self._entry(url[len(ENTRY) :], pointer, batch, left)
                left -= len(media[url])

            def medium(value: Medium) -> Medium:
                return media.get(value.url, value) if isinstance(value, Link) else value

            spec = self._catalog[job.model]
            inputs, _ = await asyncio.to_thread(admit_inputs, changed(job.inputs, medium), spec)
            job = replace(job, inputs=inputs)
        return await self._links.fetched_for(job, batch.owner)

    async def _entry(self, name: str, pointer: str, batch: Batch, most: int) -> bytes:
        file_id = batch.asked.media_file_id
        if file_id is None:
            raise InvalidRequest(
                f"inputs: {ENTRY} names an entry, but the batch has no media_file_id", pointer
            )
        try:
            file, archive = await self._archive(file_id, batch.owner)
            return await self._retried(
                lambda: archive.content(name, lambda start, end: self._read(file, start, end), most)
            )
        except BadArchive as error:
            raise InvalidRequest(f"inputs: {ENTRY}{name[:200]}: {error}", pointer) from None
        except (FileNotFound, ObjectNotFound):
            raise InvalidRequest(
                f"inputs: the archive {file_id} was deleted or is damaged", pointer
            ) from None

    async def _archive(self, file_id: str, owner: str) -> tuple[File, Archive]:
        async with self._opening:
            found = self._open.get((file_id, owner))
            if found is None:
                file = await self._retried(lambda: self._files.get(file_id, sees=owner))
                found = self._open[file_id, owner] = file, await self._opened(file)
                if len(self._open) > MAX_ARCHIVES:
                    self._open.popitem(last=False)
            self._open.move_to_end((file_id, owner))
        file, archive = found
        if isinstance(archive, BadArchive):
            raise BadArchive(str(archive))
        return file, archive

    async def _opened(self, file: File) -> Archive | BadArchive:
        try:
            return await self._retried(
                lambda: Archive.open(lambda start, end: self._read(file, start, end), file.bytes)
            )
        except BadArchive as error:
            return BadArchive(str(error))

    def _read(self, file: File, start: int, end: int) -> AsyncIterator[bytes]:
        return self._files.content(file, start, end)
