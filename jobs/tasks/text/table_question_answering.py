"""table-question-answering: the cells of a table that answer a question."""

from typing import Any

import msgspec

from jobs.errors import InvalidRequest
from jobs.tasks.inputs import Record
from jobs.tasks.parameters import Parameters
from jobs.tasks.task import Task

MAX_CELL = 10_000
"""Characters of a cell or of the query. The tokenizer searches them for numbers in quadratic time."""


class Question(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    table: dict[str, list[str]]
    """The names of the columns, and their cells from top to bottom."""
    query: str


class TableQuestionAnswering(Parameters, frozen=True):
    """None."""


class TableAndQuery(Record):
    """A table, all of whose columns have as many cells, and a query."""

    def __init__(self, max_chars: int) -> None:
        super().__init__((Question,), _texts, max_chars)

    def check(self, item: Any, pointer: str) -> None:
        """See Input."""
        match item:
            case {"table": dict(columns)}:  # msgspec does not name the place of a wrong cell
                _check_cells(columns, f"{pointer}/table")
        super().check(item, pointer)
        if len(item["query"]) > MAX_CELL:
            raise InvalidRequest(
                f"inputs: the query has {len(item['query']):,} characters, more than {MAX_CELL:,}",
                pointer=f"{pointer}/query",
            )
        lengths = {len(cells) for cells in item["table"].values()}
        if len(lengths) > 1:
            raise InvalidRequest(
                f"inputs: each column of a table needs as many cells; here they have {min(lengths)} to"
                f" {max(lengths)}",
                pointer=f"{pointer}/table",
            )
        if not lengths or lengths == {0}:
            raise InvalidRequest("inputs: the table is empty", pointer=f"{pointer}/table")

    def cut(self, item: Any, limit: int) -> Any:
        """See Input."""
        each = limit // len(_texts(item)[0])
        table = {name[:each]: [cell[:each] for cell in cells] for name, cells in item["table"].items()}
        return {"table": table, "query": item["query"][:each]}


def _check_cells(columns: dict[str, Any], pointer: str) -> None:
    for cells in columns.values():
        if not isinstance(cells, list):
            raise InvalidRequest("inputs: each column of a table must be a list", pointer=pointer)
        for cell in cells:
            if not isinstance(cell, str):
                raise InvalidRequest(
                    f"inputs: each cell of a table must be a text, not {type(cell).__name__}",
                    pointer=pointer,
                )
            if len(cell) > MAX_CELL:
                raise InvalidRequest(
                    f"inputs: a cell of the table has {len(cell):,} characters, more than {MAX_CELL:,}",
                    pointer=pointer,
                )


def _texts(item: dict[str, Any]) -> list[tuple[str, ...]]:
    """Returns the query, names and cells as one row, which the model reads together."""
    table = item["table"]
    return [(item["query"], *table, *(cell for cells in table.values() for cell in cells))]


TABLE_QUESTION_ANSWERING = Task(
    name="table-question-answering",
    help="Each query gets the cells of its table that answer it, and how to aggregate them.",
    input=TableAndQuery(max_chars=100_000),
    parameters=TableQuestionAnswering,
    example={
        "inputs": {
            "table": {"bridge": ["Old Bridge", "Mill Bridge"], "arches": ["3", "5"]},
            "query": "How many arches does the Mill Bridge have?",
        }
    },
    output="answers",
    heads=("TapasForQuestionAnswering",),
    pipeline="worker.engine.pipelines.text.table_question_answering:TableQuestionAnswering",
)
