"""Writes OUT: the rows of INPUT in order, each with the model's output or the reason of its failure.

A model's output is one column. If it is a label with its score, or a list of them, two more have the best.
In CSV and Parquet a column's values have one type, so other outputs than texts and vectors are JSON.
"""

import base64
import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain, repeat
from pathlib import Path
from typing import Any, Literal, NamedTuple

from cli.batch import parquet
from cli.batch.answers import Answers, Outcome
from cli.batch.errors import CannotContinue
from cli.batch.replacement import replaced
from cli.batch.requests import Source
from cli.batch.run import Ended
from cli.batch.tables import Row, encoder

Shape = Literal["text", "numbers", "labels", "json"]
"""What outputs are: `labels` are a label with its score or a list of them, `json` anything else."""


NUMBERS = {float, int, type(None)}
"""Types in a vector. A number that JSON does not have, such as infinity, is null."""


class Names(NamedTuple):
    """The names of the columns that OUT has beside those of INPUT."""

    output: str
    error: str

    @property
    def label(self) -> str:
        return f"{self.output}_label"

    @property
    def score(self) -> str:
        return f"{self.output}_score"

    @property
    def all(self) -> frozenset[str]:
        return frozenset((self.output, self.label, self.score, self.error))

    def refuse(self, columns: Sequence[str]) -> None:
        """Raises CannotContinue if INPUT has one of them, or if two are the same."""
        if len(self.all) < 4:
            raise CannotContinue("--output-column and --error-column name the same column")
        output = "--output-column"
        options = {self.error: "--error-column"} | dict.fromkeys(
            (self.output, self.label, self.score), output
        )
        for name, option in options.items():
            if name in columns:
                raise CannotContinue(f"INPUT has a column {name!r} already: give another name with {option}")


class Written(NamedTuple):
    """Rows that were written, and how many of them have no output."""

    rows: int
    failed: int


def write(path: Path, source: Source, ended: Sequence[Ended], names: Names) -> Written:
    """Writes the file, which is there as a whole or not at all. Raises CannotContinue."""
    answers = list(_answers(source, ended))
    shape = shape_of(chain.from_iterable(answers))
    failed = 0

    def rows() -> Iterator[Row]:
        nonlocal failed
        for record, found in zip(source.records(), _outcomes(answers), strict=False):
            if not names.all.isdisjoint(record):  # of a JSONL file, only the first row's are known before
                names.refuse(list(record))
            failed += found.error is not None
            yield {**record, **_columns(found, shape, names)}

    types = _types(shape, names, source.endpoint)
    counted = _Counted(rows())
    try:
        with replaced(path) as new:
            WRITERS[path.suffix](new, counted, source, types)
    except OSError as error:
        raise CannotContinue(f"{path} cannot be written: {error.strerror or error}") from None
    return Written(counted.rows, failed)


class _Counted(Iterator[Row]):
    """Rows, and how many of them were read."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self.rows = 0

    def __next__(self) -> Row:
        row = next(self._rows)
        self.rows += 1
        return row


def _answers(source: Source, ended: Sequence[Ended]) -> Iterator[Answers]:
    ids = source.ids()
    for each in ended:
        yield Answers(ids, each.part.lines, each.files, each.batch.status)


def _outcomes(answers: Sequence[Answers]) -> Iterator[Outcome]:
    """The outcome of each row. Rows after those of the batches were not sent, because of a cancellation."""
    return chain(
        chain.from_iterable(answers), repeat(Outcome(None, "the run was cancelled before this row was sent"))
    )


def shape_of(outcomes: Iterable[Outcome]) -> Shape:
    """What all outputs are."""
    shapes = {_shape(found.output) for found in outcomes if found.error is None}
    return shapes.pop() if len(shapes) == 1 else "json"


def _shape(output: Any) -> Shape:
    match output:
        case str():
            return "text"
        case [float() | int(), *_] if {type(each) for each in output} <= NUMBERS:
            return "numbers"
        case {"label": str(), "score": float() | int()}:
            return "labels"
        case [{"label": str()}, *_] if all(
            isinstance(each, dict) and _shape(each) == "labels" for each in output
        ):
            return "labels"
    return "json"


def _types(shape: Shape, names: Names, endpoint: str) -> dict[str, str]:
    """Name -> type, as `parquet.write` knows it, of the columns beside those of INPUT."""
    vector = "vector" if endpoint == "/v1/embeddings" else "numbers"
    types = {names.output: vector if shape == "numbers" else "text"}
    if shape == "labels":
        types |= {names.label: "text", names.score: "number"}
    return types | {names.error: "text"}


def _columns(found: Outcome, shape: Shape, names: Names) -> Row:
    columns = {names.output: found.output}
    if shape == "labels":
        labels = found.output if isinstance(found.output, list) else [found.output or {}]
        best = max(labels, key=lambda each: each.get("score", 0.0))
        columns |= {names.label: best.get("label"), names.score: best.get("score")}
    return columns | {names.error: found.error}


def _write_jsonl(path: Path, rows: Iterator[Row], source: Source, types: Mapping[str, str]) -> None:
    with path.open("wb") as file:
        for row in rows:
            file.write(encoder.encode(row) + b"\n")


def _write_csv(path: Path, rows: Iterator[Row], source: Source, types: Mapping[str, str]) -> None:
    given = dict.fromkeys(source.columns)
    if source.schema is None:  # each row of a JSONL file may have others
        for record in source.records():
            given |= dict.fromkeys(record)
    with path.open("w", encoding="utf-8", newline="") as file:
        names = [*given, *types]
        writer = csv.writer(file)
        writer.writerow(names)
        for row in rows:
            writer.writerow([_plain(row.get(name)) for name in names])


def _write_parquet(path: Path, rows: Iterator[Row], source: Source, types: Mapping[str, str]) -> None:
    given = parquet.schema_of(source.records()) if source.schema is None else source.schema
    texts = [name for name, kind in types.items() if kind == "text"]

    def typed() -> Iterator[Row]:
        for row in rows:
            yield {**row, **{name: _text(row[name]) for name in texts}}

    parquet.write(path, typed(), given, types)


def _plain(value: Any) -> Any:
    """A value that is one cell: a list or an object as JSON, bytes as base64."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return encoder.encode(value).decode() if isinstance(value, list | dict | bool) else value


def _text(value: Any) -> str | None:
    """A value of a column of texts: anything else is JSON."""
    return value if value is None or isinstance(value, str) else encoder.encode(value).decode()


WRITERS = {".jsonl": _write_jsonl, ".csv": _write_csv, ".parquet": _write_parquet}
