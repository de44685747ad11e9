"""What the server no longer has, and what is left behind by a command that stops: how to go on is said."""

from pathlib import Path
from typing import Any

import pytest

from cli.batch import command, state
from tests.cli.batch.conftest import Run, lines, table
from tests.cli.batch.stand_in import StandIn

ASKED = ("--model", "sentiment", "--column", "text", "-o", "out.jsonl")
SAVED = Path("out.jsonl.batchline")


def unfinished(server: StandIn, rows: int, *parts: state.Part) -> list[str]:
    """The arguments of a run with these parts, which was interrupted."""
    key = state.key_of(Path(table(rows)), server.url, "/v1/jobs", "sentiment", ["text"], "{}")
    state.save(SAVED, state.State(key, parts=list(parts), complete=True))
    return ["in.csv", *ASKED]


@pytest.mark.parametrize("stage", ["batch", "file", "answers", "cancel"])
def test_what_the_server_has_lost_is_begun_anew(
    run: Run, server: StandIn, stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    part = state.Part(2, "file-gone", None if stage == "file" else "batch_gone")
    if stage == "answers":
        gone = {"id": "batch_gone", "status": "completed", "output_file_id": "file-gone"}
        server.batches["batch_gone"] = gone
    asked = unfinished(server, 2, part)
    more = ["--cancel"] if stage == "cancel" else []
    assert run(*asked, *more) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert " answered 404: there is no " in said
    assert said.endswith("; if the server has lost what the run had sent, --restart begins anew")
    assert SAVED.exists()
    assert run(*asked, "--restart") == 0
    assert [row["output"] for row in lines("out.jsonl")] == ["TEXT 0", "TEXT 1"]


def test_a_refusal_of_the_first_request_is_not_about_restarts(
    run: Run, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    server.refuses = {"POST /v1/files": 404}
    assert run(table(2), *ASKED) == 1
    said = capsys.readouterr().err
    assert "answered 404: not now\n" in said
    assert "--restart" not in said
    assert not SAVED.exists()


@pytest.mark.parametrize("after", ["²", "9" * 400, "soon"])
def test_an_odd_retry_after_is_ignored(run: Run, server: StandIn, after: str) -> None:
    server.refuses, server.retry_after = {"GET /v1/batches/batch_0": 503}, after
    many = len(after) > 100
    assert run(table(2), *ASKED, "--patience", "30") == (1 if many else 0)


def test_an_interrupted_upload_leaves_nothing_to_continue(
    run: Run, server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Another command with the same OUT is not asked for --restart."""

    def interrupted(*_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr("cli.batch.server.Server.upload", interrupted)
    assert run(table(2), *ASKED) == command.INTERRUPTED
    assert capsys.readouterr().err.endswith("batchline batch: stopped\n")
    assert list(Path().iterdir()) == [Path("in.csv")]


def test_an_interrupted_end_continues(
    run: Run, server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ctrl-C while the answers are downloaded, or while OUT is written."""
    given = table(2)
    for place in ("cli.batch.run.Run._downloaded", "cli.batch.command.output.write"):

        def interrupted(*_: Any) -> Any:
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(place, interrupted)
            assert run(given, *ASKED) == command.INTERRUPTED
        assert "The same command continues" in capsys.readouterr().err
        assert not Path("out.jsonl").exists()
    assert run(given, *ASKED) == 0
    assert len(server.batches) == 1
