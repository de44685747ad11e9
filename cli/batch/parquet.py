"""Parquet through pyarrow, which only this module imports, and only if a file is Parquet."""

import io
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from types import ModuleType
from typing import Any

from cli.batch.errors import CannotContinue

ROWS = 1_000
"""Rows that are in memory at once, and in a row group: with texts of 4 KB 10,000 would take 2 GB."""


def pyarrow() -> ModuleType:
    try:
        import pyarrow.parquet
    except ModuleNotFoundError:
        raise CannotContinue(
            'Parquet needs pyarrow, which is not installed: pip install "batchline[parquet]"'
        ) from None
    return pyarrow  # type: ignore[no-any-return]


class ParquetTable:
    """The rows of a Parquet file, read in groups."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pa = pyarrow()
        try:
            with self._pa.parquet.ParquetFile(path) as file:
                self.schema = file.schema_arrow
        except (OSError, self._pa.ArrowException) as error:
            raise CannotContinue(f"{path} is no Parquet file: {error}") from None
        self.columns: Sequence[str] = self.schema.names
        if len(set(self.columns)) < len(self.columns):
            raise CannotContinue(f"{path} has two columns with the same name")

    def rows(self) -> Iterator[dict[str, Any]]:
        try:
            with self._pa.parquet.ParquetFile(self.path) as file:
                for batch in file.iter_batches(ROWS):
                    yield from batch.to_pylist()
        except (
            OSError,
            self._pa.ArrowException,
            ValueError,
            OverflowError,
        ) as error:  # dates outside Python's too
            raise CannotContinue(f"{self.path} cannot be read: {error}") from None


def write(path: Path, rows: Iterator[dict[str, Any]], given: Any, outputs: Mapping[str, str]) -> None:
    """Writes rows. `given` is the schema of the input's columns, `outputs` are the types of the others.

    Raises CannotContinue.
    """
    pa = pyarrow()
    types = {
        "text": pa.string(),
        "number": pa.float64(),
        "numbers": pa.list_(pa.float64()),
        "vector": pa.list_(pa.float32()),
    }
    schema = pa.schema([*given, *(pa.field(name, types[kind]) for name, kind in outputs.items())])
    try:
        with pa.parquet.ParquetWriter(path, schema) as writer:
            while chunk := list(islice(rows, ROWS)):
                writer.write_table(pa.Table.from_pylist(chunk, schema=schema))
    except (pa.ArrowException, OverflowError) as error:
        raise CannotContinue(
            f"Parquet cannot have these rows: {error}; give an OUT that ends in .jsonl"
        ) from None


def schema_of(rows: Iterator[dict[str, Any]]) -> Any:
    """The schema of all rows together; a column of texts and numbers has none. Raises CannotContinue."""
    pa = pyarrow()
    found = pa.schema([])
    try:
        while chunk := list(islice(rows, ROWS)):
            names = list(dict.fromkeys(name for row in chunk for name in row))
            columns = {name: [row.get(name) for row in chunk] for name in names}
            schema = pa.schema([(name, pa.array(values).type) for name, values in columns.items()])
            found = pa.unify_schemas([found, schema], promote_options="permissive")
        pa.parquet.ParquetWriter(io.BytesIO(), found).close()  # some types cannot be written
    except (pa.ArrowException, OverflowError) as error:
        raise CannotContinue(
            f"the input's rows have values that a Parquet file cannot have: {error};"
            " give an OUT that ends in .jsonl"
        ) from None
    return found
