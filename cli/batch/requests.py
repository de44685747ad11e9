"""Makes the lines of batches: from the rows of a table, or from a file that already has such lines."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import count
from typing import Any, NamedTuple, Protocol

import msgspec

from cli.batch.errors import CannotContinue
from cli.batch.tables import JsonlTable, Row, Table, encoder


class Line(NamedTuple):
    """One request of a batch: a line of the file that is uploaded, without its end."""

    custom_id: str
    data: bytes


class Source(Protocol):
    """The requests of INPUT in order, and what OUT has of each beside the output. Both can be read again."""

    endpoint: str

    @property
    def columns(self) -> Sequence[str]:
        """The names of the columns that OUT has of the input."""

    @property
    def schema(self) -> Any:
        """The types of these columns, if INPUT is a Parquet file."""

    def lines(self) -> Iterator[Line]: ...
    def ids(self) -> Iterator[str]: ...
    def records(self) -> Iterator[Row]: ...


def _messages(given: Any) -> dict[str, Any]:
    return {"messages": given if isinstance(given, list) else [{"role": "user", "content": given}]}


def _parts(given: Any) -> dict[str, Any]:
    return dict(given) if isinstance(given, Mapping) else {"query": given}


ENDPOINTS: dict[str, Callable[[Any], dict[str, Any]]] = {
    "/v1/jobs": lambda given: {"inputs": [given]},
    "/v1/embeddings": lambda given: {"input": given},
    "/v1/chat/completions": _messages,
    "/v1/completions": lambda given: {"prompt": given},
    "/v1/moderations": lambda given: {"input": given},
    "/v1/rerank": _parts,
}
"""How each endpoint's request carries an input. That of /v1/rerank has the parts `query` and `documents`."""


class RowRequests:
    """A request for each row of a table. A row's `custom_id` is its number, from 1."""

    def __init__(
        self, table: Table, endpoint: str, model: str, columns: Sequence[str], more: Mapping[str, Any]
    ) -> None:
        """`columns` as in `--column`, `more` are further members of each request. Raises CannotContinue."""
        self.endpoint = endpoint
        self.columns = table.columns
        self.schema = getattr(table, "schema", None)
        self._table = table
        self._parts = _chosen(table.columns, columns)
        self._fixed = {"model": model, **more}

    def lines(self) -> Iterator[Line]:
        as_body = ENDPOINTS[self.endpoint]
        for number, row in enumerate(self._table.rows(), 1):
            body = {**self._fixed, **as_body(self._input(number, row))}
            custom_id = str(number)
            line = {"custom_id": custom_id, "method": "POST", "url": self.endpoint, "body": body}
            yield Line(custom_id, encoder.encode(line))

    def ids(self) -> Iterator[str]:
        return map(str, count(1))

    def records(self) -> Iterator[Row]:
        return self._table.rows()

    def _input(self, number: int, row: Row) -> Any:
        try:
            if list(self._parts) == [""]:
                return row[self._parts[""]]
            return {name: row[column] for name, column in self._parts.items()}
        except KeyError as missing:
            raise CannotContinue(f"row {number} has no column {missing}") from None


def _chosen(known: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """Name of each part of the input -> column; a single part without a name is the input itself."""
    if not given:
        if len(known) == 1:
            return {"": known[0]}
        given = ["text"] if "text" in known else []
        if not given:
            raise CannotContinue(
                f"name the input's column with --column; there are {', '.join(known) or 'none'}"
            )
    named = [each.rpartition("=") if each not in known else ("", "", each) for each in given]
    for _, _, column in named:
        if column not in known:
            raise CannotContinue(f"there is no column {column!r}; there are {', '.join(known) or 'none'}")
    if len(named) == 1 and not named[0][1]:
        return {"": named[0][2]}
    return {name or column: column for name, _, column in named}


class _Ready(msgspec.Struct):
    custom_id: str
    url: str
    body: msgspec.Raw


class ReadyRequests:
    """A file that has the lines of a batch already. They are sent as they are, and the server judges them."""

    columns = ("custom_id",)
    schema = None

    def __init__(self, table: JsonlTable) -> None:
        self._table = table
        self._decoder = msgspec.json.Decoder(_Ready)
        first = next(table.lines())
        self.endpoint = self._decoded(*first).url

    def lines(self) -> Iterator[Line]:
        for number, line in self._table.lines():
            yield Line(self._decoded(number, line).custom_id, line)

    def ids(self) -> Iterator[str]:
        return (line.custom_id for line in self.lines())

    def records(self) -> Iterator[Row]:
        return ({"custom_id": custom_id} for custom_id in self.ids())

    def _decoded(self, number: int, line: bytes) -> _Ready:
        try:
            return self._decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CannotContinue(
                f"{self._table.path}, line {number}, is no request of a batch, as the first one is: {error}"
            ) from None


def are_ready(table: JsonlTable) -> bool:
    """Whether the rows are requests of a batch, by the first one."""
    return {"custom_id", "url", "body"} <= set(table.columns)
