"""Odd tables: each row has its output, or there is one sentence; never a traceback."""

import datetime
import decimal
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.batch.conftest import Run, lines
from tests.cli.batch.stand_in import StandIn

HOW = ("--model", "sentiment", "--column", "text")


def rich_table(path: str) -> str:
    """A Parquet file with the types that JSON has not."""
    columns = {
        "text": pa.array(["a", "b"]),
        "nothing": pa.array([None, None], pa.null()),
        "price": pa.array([decimal.Decimal("1.50"), None]),
        "day": pa.array([datetime.date(2026, 1, 2), None]),
        "hour": pa.array([datetime.time(1, 2, 3), None], pa.time64("us")),
        "when": pa.array([1_790_000_000_123_456_789, None], pa.timestamp("ns", "UTC")).cast(
            pa.timestamp("us", "UTC"), safe=False
        ),
        "span": pa.array([datetime.timedelta(seconds=90), None]),
        "raw": pa.array([b"\x00\xff", None]),
        "nested": pa.array([{"a": [1, 2], "b": {"c": decimal.Decimal("2.5")}}, None]),
        "map": pa.array([[("k", 1)], None], pa.map_(pa.string(), pa.int64())),
        "kind": pa.array(["x", None]).dictionary_encode(),
        "infinite": pa.array([float("inf"), float("nan")]),
    }
    pq.write_table(pa.table(columns), path)
    return path


@pytest.mark.parametrize("column", ["nested", "map", "when", "infinite"])
def test_every_type_of_parquet_can_be_an_input(run: Run, server: StandIn, column: str) -> None:
    server.answer = lambda _: {"response": {"status_code": 200, "body": {"results": [{"output": "ok"}]}}}
    given = rich_table("in.parquet")
    for wanted in ("out.jsonl", "out.csv", "out.parquet"):
        assert run(given, "--model", "sentiment", "--column", column, "-o", wanted, "--overwrite") == 0
    found = pq.read_table("out.parquet")
    assert found.schema.field("price").type == pq.read_schema("in.parquet").field("price").type
    assert lines("out.jsonl")[0]["nested"] == {"a": [1, 2], "b": {"c": "2.5"}}
    assert "AP8=" in Path("out.csv").read_text(), "bytes are base64, as in what is sent"


def test_times_that_python_has_not_are_a_sentence(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    when = pa.array([2**62], pa.timestamp("us"))
    pq.write_table(pa.table({"text": ["a"], "when": when}), "in.parquet")
    assert run("in.parquet", *HOW, "-o", "out.jsonl") == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("batchline batch: in.parquet cannot be read: ")


def test_columns_with_one_name_are_refused(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    pq.write_table(pa.Table.from_arrays([pa.array(["a"])] * 2, names=["text", "text"]), "in.parquet")
    assert run("in.parquet", *HOW, "-o", "out.jsonl") == 1
    assert "in.parquet has two columns with the same name" in capsys.readouterr().err


@pytest.mark.parametrize("row", [{"n": 2**70}, {"n": {}}, {"n": [1, "a"]}], ids=str)
def test_rows_that_parquet_cannot_have_are_refused_before_they_are_sent(
    run: Run, server: StandIn, row: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("in.jsonl").write_text(json.dumps({"text": "a", **row}) + "\n")
    assert run("in.jsonl", *HOW, "-o", "out.parquet") == 1
    assert "values that a Parquet file cannot have: " in capsys.readouterr().err
    assert not server.calls
    assert run("in.jsonl", *HOW, "-o", "out.jsonl") == 0


TEXTS = {
    "a BOM": (b"\xef\xbb\xbftext\r\na\r\n", ["A"]),
    "NUL": (b"text,n\na\x00b,1\n", ["A\x00B"]),
    "one column with an empty field": (b'text\n""\na\n', ["", "A"]),
    "only a header": (b"text\n", []),
    "no last line break": (b"text\na", ["A"]),
    "a column without a name": (b",text\n1,a\n", ["A"]),
    "old line breaks": (b"text\ra\r", ["A"]),
}


@pytest.mark.parametrize("name", TEXTS)
def test_odd_csv(run: Run, name: str) -> None:
    content, expected = TEXTS[name]
    Path("in.csv").write_bytes(content)
    for wanted in ("out.jsonl", "out.csv", "out.parquet"):
        assert run("in.csv", *HOW, "-o", wanted) == 0
    assert [row["output"] for row in lines("out.jsonl")] == expected


def test_odd_jsonl(run: Run, server: StandIn) -> None:
    server.answer = lambda _: {"response": {"status_code": 200, "body": {"results": [{"output": 1}]}}}
    rows: list[Any] = ["a", ["a", "b"], {"x": [None, {"y": 2**70}]}, None, 1e300, "\u0000", ""]
    Path("in.jsonl").write_text("\n\n".join(json.dumps({"text": row}) for row in rows))
    for wanted in ("out.jsonl", "out.csv"):
        assert run("in.jsonl", *HOW, "-o", wanted) == 0
    assert [row["text"] for row in lines("out.jsonl")] == rows
