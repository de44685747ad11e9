"""Outputs: the output file and the error file of a batch, written from its parts in the input's order."""

from collections.abc import AsyncIterator, Sequence
from typing import Literal

from bulk.batches.runs import NewOutput, Part, Taken
from bulk.files.files import Files
from bulk.runner.parts import Parts


class Outputs:
    """The files of one batch.

    Their ids are derived from its own and from the lease. A repetition overwrites them, but no process that
    was stopped for longer than its lease and goes on writing then.
    """

    def __init__(self, files: Files, stored: Parts, taken: Taken, parts: Sequence[Part]) -> None:
        self._files = files
        self._stored = stored
        self._taken = taken
        self.parts = parts

    async def write(self) -> list[NewOutput]:
        """Stores the contents and returns the files; no file for no rows.

        Raises StorageUnavailable, and ObjectNotFound if a part is gone.
        """
        found = []
        if any(part.output_bytes for part in self.parts):
            found.append(await self._write("output", self._stored.output(self.parts)))
        if any(part.error_bytes for part in self.parts):
            found.append(await self._write("error", self._stored.errors(self.parts)))
        return found

    async def _write(self, kind: Literal["output", "error"], rows: AsyncIterator[bytes]) -> NewOutput:
        batch_id = self._taken.batch.id
        file_id = f"file-{batch_id.removeprefix('batch_')}-{kind}-{self._taken.token[:8]}"
        size = await self._files.write(file_id, rows)
        field: Literal["output_file_id", "error_file_id"] = (
            "output_file_id" if kind == "output" else "error_file_id"
        )
        return NewOutput(field, file_id, f"{batch_id}_{kind}.jsonl", size)
