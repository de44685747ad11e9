"""Queries get the cells that transformers finds in each table alone."""

from typing import Any

import pytest

from jobs.errors import InvalidRequest
from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline
from tests.worker.engine.pipelines.tiny.tables import COLUMNS, POSITIONS

TOWNS = {"town": ["london", "paris"], "bridge": ["12", "7"]}
INPUTS: list[dict[str, Any]] = [
    {"table": TOWNS, "query": "the bridge of paris ?"},
    {"table": {"letter": ["anna", "", "it was late", "a"]}, "query": "one"},
    {
        "table": {name: [str(row) for row in range(30)] for name in ("road", "river", "house")},
        "query": "the last rows are not read ?",
    },
    {"table": TOWNS, "query": "two towns, one engine, and the winter in the house of anna."},
]


@pytest.mark.parametrize("model", ["table-question-answering", "table-question-answering-of-cells"])
def test_a_batch_is_answered_as_each_alone(model_folder: ModelFolder, model: str) -> None:
    folder = model_folder(model)
    pipeline: Any = load(folder, "table-question-answering")
    assert pipeline.layout == "padded"
    plain = plain_pipeline(folder, "table-question-answering")
    expected = [plain({"table": dict(one["table"]), "query": one["query"]}) for one in INPUTS]
    outputs = pipeline.run(INPUTS, {})
    assert outputs == expected
    assert ["aggregator" in output for output in outputs] == 4 * [model == "table-question-answering"]
    assert 0 < sum(len(output["cells"]) for output in outputs) < 2 * 4 + 4 + 90
    for one, output in zip(INPUTS, outputs, strict=True):
        columns = list(one["table"].values())
        assert output["cells"] == [columns[column][row] for row, column in output["coordinates"]]


def test_the_cost_is_in_tokens(model_folder: ModelFolder) -> None:
    pipeline = load(model_folder("table-question-answering"), "table-question-answering")
    prepared = pipeline.prepare([INPUTS[1], INPUTS[2]], {})
    # [CLS] one [SEP] and letters, and as many rows of three cells as fit
    short, long = map(len, prepared.work.encoding["input_ids"])
    assert (prepared.tokens, prepared.padded) == (short + long, 2 * long)
    assert short < long <= POSITIONS


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("a query", "give an object, not a text"),
        ({"table": TOWNS}, "query is missing"),
        ({"table": TOWNS, "query": " "}, "the query is empty"),
        ({"table": {}, "query": "one"}, "the table is empty"),
        ({"table": {"town": []}, "query": "one"}, "the table is empty"),
        ({"table": {"town": ["a"], "road": []}, "query": "one"}, "as many cells; here they have 0 to 1"),
        ({"table": {"town": ["a", 3]}, "query": "one"}, "each cell of a table must be a text, not int"),
        ({"table": {"town": ["1 " * 50_000]}, "query": "one"}, "a cell of the table has 100,000 characters"),
        ({"table": TOWNS, "query": "1 " * 40_000}, "the query has 80,000 characters, more than 10,000"),
        ({"table": TOWNS, "query": "late " * POSITIONS}, "no row of the table fits beside the query"),
        ({"table": {str(name): ["a"] for name in range(COLUMNS)}, "query": "one"}, "has 12 columns, .* 11"),
        ({"table": {"town": ["a"] * 40}, "query": "one"}, "has 40 rows, and the model reads 31"),
    ],
)
def test_what_is_no_table_is_refused(model_folder: ModelFolder, given: Any, reason: str) -> None:
    with pytest.raises(InvalidRequest, match=reason):
        load(model_folder("table-question-answering"), "table-question-answering").run([given], {})
