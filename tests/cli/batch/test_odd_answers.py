"""Odd answers of a server: the row has an output or a reason, or there is one sentence; never a traceback."""

from pathlib import Path
from typing import Any

import pytest

from cli.batch.answers import Answers
from cli.batch.errors import CannotContinue
from tests.cli.batch.conftest import Run, lines, table
from tests.cli.batch.stand_in import StandIn

HOW = ("--model", "sentiment", "--column", "text")
YES = {"label": "yes", "score": 0.9}


def answering(*outputs: Any, **body: Any) -> Any:
    """Answers the rows of `table` with these outputs, or with this body."""

    def answer(line: dict[str, Any]) -> dict[str, Any]:
        at = int(line["body"]["inputs"][0].split()[-1])
        found = body or {"results": [{"output": outputs[at]}]}
        return {"response": {"status_code": 200, "body": found}, "error": None}

    return answer


@pytest.mark.parametrize(
    "outputs",
    [
        ([YES, "no"], [YES]),
        ([YES, {"label": 1}], [YES]),
        ([YES, [YES]], YES),
        ([], [YES]),
        ([YES], None),
        ([0.5, True], [0.5, 1]),
        ([[YES]], [[YES]]),
        ({"label": "a", "score": None}, {"label": "a"}),
        (1, 2.5),
        (True, "a"),
    ],
    ids=str,
)
@pytest.mark.parametrize("kind", ["jsonl", "parquet"])
def test_outputs_of_any_form_are_written(
    run: Run, server: StandIn, outputs: tuple[Any, Any], kind: str
) -> None:
    server.answer = answering(*outputs)
    assert run(table(2), *HOW, "-o", f"out.{kind}") == 0
    if kind == "jsonl":
        assert [row["output"] for row in lines("out.jsonl")] == list(outputs)


@pytest.mark.parametrize(
    "body",
    [
        {"choices": ["a"]},
        {"choices": [{"message": None}]},
        {"object": "list", "data": [{"embedding": [1]}, {}]},
        {"results": [{"output": 1}, {"n": 1}]},
        {"results": [{"error": "no"}]},
        {"results": {}},
    ],
    ids=str,
)
def test_a_body_that_only_begins_like_a_known_one_is_the_output(
    run: Run, server: StandIn, body: dict[str, Any]
) -> None:
    server.answer = answering(**body)
    assert run(table(1), *HOW, "-o", "out.jsonl") == 0
    assert lines("out.jsonl")[0]["output"] in (body, {})


def test_a_failure_without_a_reason_is_a_failure(run: Run, server: StandIn) -> None:
    server.answer = answering(results=[{"error": {}}])
    assert run(table(1), *HOW, "-o", "out.jsonl") == 3
    assert lines("out.jsonl")[0]["error"] == "failed without a reason"


DEEP = b'{"custom_id": "1", "response": {"status_code": 200, "body": ' + b"[" * 5000 + b"]" * 5000 + b"}}\n"


@pytest.mark.parametrize(
    "line",
    [DEEP, b"\n", b'{"custom_id": 1}\n', b'{"custom_id": "1", "response": 1}\n', b'{"custom_id": "\xff"}'],
)
def test_a_line_that_is_no_answer_is_a_sentence(tmp_path: Path, line: bytes) -> None:
    (path := tmp_path / "output").write_bytes(line)
    with pytest.raises(CannotContinue, match="the server sent a line that is no answer of a batch: "):
        list(Answers(iter(["1"]), 1, [path], "completed"))
