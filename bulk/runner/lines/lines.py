"""JobLines: the `Lines` of the runner. It runs lines as jobs in the queue."""

from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from api.line_calls import LineCall
from bulk.batches.batch import Batch
from bulk.runner.lines import sizes
from bulk.runner.lines.chunk_run import ChunkRun
from bulk.runner.lines.interface import Line, Rows, Stop
from bulk.runner.lines.room import Room
from bulk.runner.lines.tools import Tools
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec

MAX_LIMITED = 1_000
"""Most sets of models that senders are limited to and whose catalogs are kept."""


class JobLines:
    """See `interface.Lines`."""

    def __init__(self, tools: Tools, calls: Mapping[str, LineCall[Any]], catalog: ModelCatalog) -> None:
        """`calls` are those of all dialects, by their paths (`Dialects.line_calls`)."""
        self._tools = tools
        self._calls = calls
        self._catalog = catalog
        self._limited: dict[frozenset[str], ModelCatalog] = {}
        self._rooms: WeakValueDictionary[str, Room] = WeakValueDictionary()

    def model(self, endpoint: str, body: bytes, allowed: frozenset[str]) -> ModelSpec:
        """See Lines."""
        return self._calls[endpoint].model_of(body, self._catalog_of(allowed))

    def lines_per_chunk(self, endpoint: str, spec: ModelSpec) -> int:
        """See Lines."""
        return sizes.inputs_per_job(spec)

    def chunks_at_once(self, endpoint: str, spec: ModelSpec) -> int:
        """See Lines."""
        return sizes.chunks_at_once(spec, self._tools.settings)

    async def run(self, batch: Batch, chunk: int, lines: Sequence[Line], stop: Stop) -> Rows:
        """See Lines."""
        catalog = self._catalog_of(batch.asked.models)
        call = self._calls[batch.asked.endpoint]
        room = self._room_of(batch, catalog)
        return await ChunkRun(self._tools, batch, call, catalog, room, stop).run(lines)

    async def release(self, jobs: Sequence[str]) -> None:
        """See Lines."""
        await self._tools.ledger.collecting.forget(jobs)

    def _room_of(self, batch: Batch, catalog: ModelCatalog) -> Room:
        """The room of the batch, which all its chunks share."""
        room = self._rooms.get(batch.id)
        if room is None:
            name = batch.model
            spec = catalog[name] if name is not None and name in catalog.specs else catalog.default
            room = self._rooms[batch.id] = sizes.room(spec, self._tools.settings)
        return room

    def _catalog_of(self, allowed: frozenset[str]) -> ModelCatalog:
        """The models that a sender may use, as if there were no others."""
        if not allowed:
            return self._catalog
        found = self._limited.get(allowed)
        if found is None:
            if len(self._limited) >= MAX_LIMITED:
                self._limited.clear()
            specs = [spec for name, spec in self._catalog.specs.items() if name in allowed]
            found = self._limited[allowed] = ModelCatalog(specs, self._catalog.base)
        return found
