"""Outputs: the output file and the error file of a batch, written from its parts in the input's order."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from bulk.batches.batch import Batch
from bulk.batches.runs import NewOutput, Part
from bulk.files.files import Files
from bulk.runner.parts import Parts


class Outputs:
    """The files of one batch. Their ids are derived from its own, so that a repetition overwrites them."""

    def __init__(self, files: Files, stored: Parts, batch: Batch, parts: Sequence[Part]) -> None:
        self._files = files
        self._stored = stored
        self._batch = batch
        self._parts = parts

    async def write(self) -> list[NewOutput]:
        """Stores the contents and returns the files; no file for no rows.

        Raises StorageUnavailable, and ObjectNotFound if a part is gone.
        """
        found = []
        if any(part.output_bytes for part in self._parts):
            found.append(await self._write("output", self._stored.output(self._parts)))
        if any(part.error_bytes for part in self._parts):
            found.append(await self._write("error", self._stored.errors(self._parts)))
        return found

    async def _write(self, kind: Literal["output", "error"], rows: AsyncIterator[bytes]) -> NewOutput:
        digits = self._batch.id.removeprefix("batch_")
        file_id = f"file-{digits}-{kind}"
        size = await self._files.write(file_id, rows)
        field: Literal["output_file_id", "error_file_id"] = (
            "output_file_id" if kind == "output" else "error_file_id"
        )
        return NewOutput(field, file_id, f"{self._batch.id}_{kind}.jsonl", size)
