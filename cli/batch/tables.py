"""Reads the rows of CSV, JSONL and Parquet files as streams: a file may be larger than the memory."""

import csv
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol

import msgspec

from cli.batch import parquet
from cli.batch.errors import CannotContinue

SUFFIXES = (".jsonl", ".csv", ".parquet")

Row = dict[str, Any]

encoder = msgspec.json.Encoder(enc_hook=str)
"""Of the values in rows. Parquet has types that JSON has not, such as intervals: they become texts."""


class Table(Protocol):
    """A file of rows that can be read several times."""

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns: of a JSONL file, those of its first row."""

    def rows(self) -> Iterator[Row]:
        """The rows in order. Raises CannotContinue for a row that cannot be read."""


def opened(path: Path) -> Table:
    """The table of a file, whose kind its name shows. Raises CannotContinue."""
    if path.suffix not in SUFFIXES:
        raise CannotContinue(f"{path} must end in one of {', '.join(SUFFIXES)}")
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise CannotContinue(f"{path} cannot be read: {error.strerror}") from None
    match path.suffix:
        case ".csv":
            return CsvTable(path)
        case ".parquet":
            return parquet.ParquetTable(path)
        case _:
            return JsonlTable(path)


class JsonlTable:
    """One JSON object in each line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = list(next(self.rows(), {}))

    def rows(self) -> Iterator[Row]:
        for number, line in self.lines():
            try:
                yield msgspec.json.decode(line, type=Row)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                raise CannotContinue(f"{self.path}, line {number}, is no JSON object: {error}") from None

    def lines(self) -> Iterator[tuple[int, bytes]]:
        """The lines that are not blank, with their numbers from 1."""
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if stripped := line.removeprefix(b"\xef\xbb\xbf").strip():
                    yield number, stripped


class CsvTable:
    """A header, then rows with as many fields. Every value is a text."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.columns = next(self._read(), [])
        if not self.columns:
            raise CannotContinue(f"{path} is empty: its first line must name the columns")
        if len(set(self.columns)) < len(self.columns):
            raise CannotContinue(f"{path} has two columns with the same name")

    def rows(self) -> Iterator[Row]:
        lines = self._read()
        next(lines)
        for number, fields in enumerate(lines, 1):
            if len(fields) != len(self.columns):
                raise CannotContinue(
                    f"{self.path}, row {number}, has {len(fields)} fields, and its header {len(self.columns)}"
                )
            yield dict(zip(self.columns, fields, strict=True))

    def _read(self) -> Iterator[list[str]]:
        csv.field_size_limit(sys.maxsize)
        try:
            with self.path.open(encoding="utf-8-sig", newline="") as file:
                yield from filter(None, csv.reader(file, strict=True))
        except UnicodeDecodeError:
            raise CannotContinue(f"{self.path} is not UTF-8") from None
        except csv.Error as error:
            raise CannotContinue(f"{self.path} is no CSV file: {error}") from None
