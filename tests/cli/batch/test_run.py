"""`batchline batch run` and a server with faults: every row has its output, in order, whatever happened."""

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cli.batch import command, state
from tests.cli.batch.conftest import Run, lines, table
from tests.cli.batch.stand_in import StandIn
from tests.processes import ROOT
from tests.waiting import until


def test_rows_have_their_outputs_in_order(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.csv").write_text('text,id\n"a, good",1\nbad,2\n"two\nlines",3\n')
    assert run("in.csv", "--model", "sentiment", "-o", "out.jsonl") == command.SOME_FAILED
    assert lines("out.jsonl") == [
        {"text": "a, good", "id": "1", "output": "A, GOOD", "error": None},
        {"text": "bad", "id": "2", "output": None, "error": "the text is bad"},
        {"text": "two\nlines", "id": "3", "output": "TWO\nLINES", "error": None},
    ]
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.endswith("wrote 3 rows to out.jsonl, 1 of them failed (see column error)\n")
    assert not state.path_of(Path("out.jsonl")).exists()


def test_every_kind_of_file_becomes_every_other(run: Run, server: StandIn) -> None:
    """The best label and its score are columns of their own."""

    def labels(line: dict[str, Any]) -> dict[str, Any]:
        score = float(line["body"]["inputs"][0][5:]) / 10
        output: Any = [{"label": "no", "score": 0.15}, {"label": "yes", "score": score}]
        if score == 0.3:
            output = output[1]  # as a job has it if only the best one is wanted
        return {"response": {"status_code": 200, "body": {"results": [{"output": output}]}}, "error": None}

    server.answer = labels
    rows = [{"text": f"text {i}", "id": i} for i in range(4)]
    table(4)
    Path("in.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), "in.parquet")
    for given in ("in.csv", "in.jsonl", "in.parquet"):
        for wanted in ("out.csv", "out.jsonl", "out.parquet"):
            assert run(given, "--model", "sentiment", "--column", "text", "-o", wanted, "--overwrite") == 0
        with Path("out.csv").open(newline="") as file:
            found = [dict(row) for row in csv.DictReader(file)]
        from_parquet = pq.read_table("out.parquet").to_pylist()
        for i, row in enumerate(lines("out.jsonl")):
            assert str(row["id"]) == str(i) == found[i]["id"] == str(from_parquet[i]["id"])
            best, score = ("yes", i / 10) if i > 1 else ("no", 0.15)
            assert (row["output_label"], row["output_score"]) == (best, score)
            assert (found[i]["output_label"], found[i]["output_score"]) == (best, str(score))
            assert (from_parquet[i]["output_label"], from_parquet[i]["output_score"]) == (best, score)
            assert json.loads(found[i]["output"]) == json.loads(from_parquet[i]["output"]) == row["output"]
            assert (row["error"], found[i]["error"], from_parquet[i]["error"]) == (None, "", None)


def test_vectors_are_lists_of_numbers_in_parquet(run: Run, server: StandIn) -> None:
    def vector(line: dict[str, Any]) -> dict[str, Any]:
        assert line["body"] == {"model": "sentiment", "input": "text 0", "dimensions": 2}
        body = {"object": "list", "data": [{"embedding": [0.5, 1]}]}
        return {"response": {"status_code": 200, "body": body}, "error": None}

    server.answer = vector
    how = ["--endpoint", "/v1/embeddings", "--column", "text", "--body", '{"dimensions": 2}']
    assert run(table(1), "--model", "sentiment", *how, "-o", "out.parquet") == 0
    found = pq.read_table("out.parquet")
    assert found.schema.field("output").type == pa.list_(pa.float32())
    assert found.to_pylist()[0]["output"] == [0.5, 1.0]


def test_named_columns_are_the_parts_of_an_input(run: Run, server: StandIn) -> None:
    seen: list[Any] = []

    def one(line: dict[str, Any]) -> dict[str, Any]:
        seen.append(line["body"]["inputs"])
        return {"response": {"status_code": 200, "body": {"results": [{"output": 1}]}}}

    server.answer = one
    Path("in.jsonl").write_text('{"question": "who?", "passage": "anna"}\n')
    how = ["--column", "question", "--column", "context=passage"]
    assert run("in.jsonl", "--model", "sentiment", *how, "-o", "out.jsonl") == 0
    assert seen == [[{"question": "who?", "context": "anna"}]]


def test_requests_of_a_batch_are_sent_as_they_are(run: Run, server: StandIn) -> None:
    sent = [
        {"custom_id": name, "method": "POST", "url": "/v1/jobs", "body": {"inputs": [name]}} for name in "cab"
    ]
    text = "".join(f"{json.dumps(line, indent=None)}\n" for line in sent)
    Path("in.jsonl").write_text(text)
    assert run("in.jsonl", "-o", "out.jsonl") == 0
    assert server.files["file-0"].decode() == text
    assert [(row["custom_id"], row["output"]) for row in lines("out.jsonl")] == [
        *zip("cab", "CAB", strict=True)
    ]
    assert run("in.jsonl", "-o", "other.jsonl", "--model", "sentiment") == 1


def test_a_large_input_becomes_several_batches(run: Run, server: StandIn) -> None:
    how = ["--model", "sentiment", "--column", "text", "-o", "out.jsonl"]
    assert run(table(10), *how, "--batch-lines", "4") == 0
    assert [row["output"] for row in lines("out.jsonl")] == [f"TEXT {i}" for i in range(10)]
    assert [batch["request_counts"]["total"] for batch in server.batches.values()] == [4, 4, 2]
    size = len(server.files["file-0"]) + 1
    assert run("in.csv", *how, "--batch-bytes", str(size), "--overwrite") == 0
    assert [batch["request_counts"]["total"] for batch in server.batches.values()] == [4, 4, 2, 4, 4, 2]
    assert [row["output"] for row in lines("out.jsonl")] == [f"TEXT {i}" for i in range(10)]


def test_a_lost_answer_creates_no_second_batch(
    run: Run, server: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And a download that is cut off continues."""
    monkeypatch.setattr("cli.batch.server.PIECE", 16)
    server.lost = {"POST /v1/batches", "GET /v1/batches/batch_0"}
    server.refuses = {"POST /v1/files": 503, "GET /v1/files/file-1/content": 429}
    server.cut = 40
    how = ["--model", "sentiment", "--column", "text", "-o", "out.jsonl"]
    assert run(table(10), *how) == 0
    assert [row["output"] for row in lines("out.jsonl")] == [f"TEXT {i}" for i in range(10)]
    assert len(server.batches) == 1
    assert server.ranges == ["bytes=32-"]


def started(server: StandIn, *arguments: str) -> "subprocess.Popen[str]":
    """The command as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "cli", "batch", "run", *arguments, "--url", server.url],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        # a shell without job control lets what runs in its background ignore Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
async def test_the_same_command_continues(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: int) -> None:
    """After Ctrl-C or a crash, also if the server was restarted meanwhile: nothing is sent twice."""
    monkeypatch.chdir(tmp_path)
    server, saved = StandIn(), state.path_of(Path("out.jsonl"))
    asked = [table(10), "--model", "sentiment", "--column", "text", "-o", "out.jsonl", "--batch-lines", "4"]
    server.held = True

    async def in_progress() -> bool:
        return [each["status"] for each in server.batches.values()] == ["in_progress"] * 2

    with server.running(), started(server, *asked) as process:
        await until(in_progress)
        process.send_signal(how)
        _, err = process.communicate(timeout=60)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    if how == signal.SIGINT:
        assert "The same command continues" in err
    assert len(state.load(saved).parts) == 2  # type: ignore[union-attr]
    server.held = False
    with server.running(), started(server, *asked) as process:
        _, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
    assert [row["output"] for row in lines("out.jsonl")] == [f"TEXT {i}" for i in range(10)]
    assert len(server.batches) == 3
    assert not saved.exists()


async def test_the_command_outlives_a_restart_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    server = StandIn()
    server.held = True
    asked = [table(3), "--model", "sentiment", "--column", "text", "-o", "out.jsonl"]

    async def polled() -> bool:
        return server.calls.count("GET /v1/batches/batch_0") > 1

    with server.running():
        process = started(server, *asked)
        await until(polled)
    server.held = False
    with server.running(), process:
        process.communicate(timeout=60)
    assert process.returncode == 0
    assert [row["output"] for row in lines("out.jsonl")] == ["TEXT 0", "TEXT 1", "TEXT 2"]


def test_a_cancelled_run_has_the_outputs_that_are_known(run: Run, server: StandIn) -> None:
    key = state.key_of(
        Path(table(5)), server.url, "/v1/jobs", "sentiment", ["text"], "{}"
    )  # as an interrupted command left it
    row = {"custom_id": "2", "response": {"status_code": 200, "body": {"results": [{"output": "TWO"}]}}}
    server.files = {"file-0": b"", "file-1": json.dumps(row).encode() + b"\n"}
    server.batches["batch_0"] = {"id": "batch_0", "status": "in_progress", "output_file_id": "file-1"}
    parts = [state.Part(3, "file-0", "batch_0"), state.Part(1, "file-2")]
    state.save(state.path_of(Path("out.jsonl")), state.State(key, parts=parts))
    asked = ["in.csv", "--model", "sentiment", "--column", "text", "-o", "out.jsonl"]
    assert run(*asked, "--cancel") == command.SOME_FAILED
    assert server.batches["batch_0"]["status"] == "cancelled"
    found = lines("out.jsonl")
    assert [each["output"] for each in found] == [None, "TWO", None, None, None]
    ran, sent = (
        "the batch was cancelled before this row ran",
        "the run was cancelled before this row was sent",
    )
    assert [each["error"] for each in found] == [ran, None, ran, sent, sent]
    assert "POST /v1/batches" not in server.calls
    assert run(*asked, "--cancel", "--overwrite") == 1


def test_an_answer_to_another_row_is_refused(
    run: Run, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.answer = lambda line: {"custom_id": "7", "response": {"status_code": 200, "body": {}}}
    assert run(table(2), "--model", "sentiment", "--column", "text", "-o", "out.jsonl") == 1
    assert "answered row '7' that is not in this batch" in capsys.readouterr().err
    assert not Path("out.jsonl").exists()


def test_another_input_does_not_continue_a_run(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    state.save(state.path_of(Path("out.jsonl")), state.State("another"))
    asked = [table(2), "--model", "sentiment", "--column", "text", "-o", "out.jsonl"]
    assert run(*asked) == 1
    assert "--restart" in capsys.readouterr().err
    assert run(*asked, "--restart") == 0
