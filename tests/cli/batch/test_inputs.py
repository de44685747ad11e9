"""Inputs that change, have odd columns, or do not fit: no row gets what is not its own."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.batch.conftest import Run, lines, table
from tests.cli.batch.stand_in import StandIn, upper


@pytest.mark.parametrize(
    "change", [lambda text: text + "late,9\n", lambda text: text.replace("text 0", "other")]
)
def test_an_input_that_changes_meanwhile_gets_no_outputs_of_other_rows(
    run: Run, server: StandIn, capsys: pytest.CaptureFixture[str], change: Callable[[str], str]
) -> None:
    asked = [table(2), "--model", "sentiment", "--column", "text", "-o", "out.jsonl"]
    before, text = Path("in.csv").stat(), Path("in.csv").read_text()

    def changed(line: dict[str, Any]) -> dict[str, Any]:
        Path("in.csv").write_text(change(text))
        return upper(line)

    server.answer = changed
    assert run(*asked) == 1
    assert "in.csv has changed since the run began" in capsys.readouterr().err
    assert not Path("out.jsonl").exists()
    Path("in.csv").write_text(text)
    os.utime("in.csv", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert run(*asked) == 0, "it continues"
    assert [row["output"] for row in lines("out.jsonl")] == ["TEXT 0", "TEXT 1"]
    assert len(server.batches) == 1


def test_a_column_that_only_later_rows_have_is_written(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("in.jsonl").write_text('{"text": "a"}\n{"text": "b", "id": 2}\n')
    how = ["--model", "sentiment", "--column", "text"]
    assert run("in.jsonl", *how, "-o", "out.csv") == 0
    assert Path("out.csv").read_text() == "text,id,output,error\na,,A,\nb,2,B,\n"
    Path("in.jsonl").write_text('{"text": "a"}\n{"text": "b", "output": 2}\n')
    assert run("in.jsonl", *how, "-o", "out.jsonl") == 1, "it would be lost"
    assert "INPUT has a column 'output' already" in capsys.readouterr().err
    assert run("in.jsonl", *how, "-o", "out.jsonl", "--output-column", "other") == 0
    assert lines("out.jsonl")[1] == {"text": "b", "output": 2, "other": "B", "error": None}


def test_a_full_disk_is_one_sentence(
    run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full() -> Any:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("cli.batch.run.tempfile.TemporaryFile", full)
    asked = [table(2), "--model", "sentiment", "--column", "text", "-o", "out.jsonl"]
    assert run(*asked) == 1
    assert "No space left on device; the same command tries again" in capsys.readouterr().err


def test_there_may_be_more_batches_than_files_that_a_process_may_have_open(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cli.batch.run.LONGEST_PAUSE", 0.005)
    resource = pytest.importorskip("resource")
    used, (soft, hard) = len(list(Path("/dev/fd").iterdir())), resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 12, hard))
    try:
        how = ["--model", "sentiment", "--column", "text", "--batch-lines", "1"]
        assert run(table(16), *how, "-o", "out.jsonl") == 0
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert [row["output"] for row in lines("out.jsonl")] == [f"TEXT {i}" for i in range(16)]
