"""OUT and the files beside it: one command at a time, and after a crash the old content or the new one."""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cli.batch import lock, state
from cli.batch.replacement import replaced
from tests.cli.batch.conftest import Run, lines, table
from tests.cli.batch.stand_in import StandIn

ASKED = ("--model", "sentiment", "--column", "text", "-o", "out.jsonl")
LOCK = "out.jsonl.batchline.lock"


def test_a_second_command_with_the_same_out_is_refused(
    run: Run, server: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    given = table(2)
    with lock.held(Path("out.jsonl")):
        assert run(given, *ASKED) == 1
        assert run(given, *ASKED, "--restart") == 1
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 2
        assert said[0].startswith("batchline batch: another command is writing out.jsonl: ")
        assert not server.calls
        assert run(given, *ASKED[:-1], "other.jsonl") == 0
    assert run(given, *ASKED) == 0
    assert not Path(LOCK).exists()


def test_the_lock_of_a_command_that_was_killed_is_free(run: Run) -> None:
    Path(LOCK).touch()
    assert run(table(2), *ASKED) == 0
    assert not Path(LOCK).exists()


def test_the_file_of_a_lock_that_was_given_back_meanwhile_is_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    taken: list[int] = []

    def flock(file: Any, operation: int) -> None:
        if not taken:  # its holder ends between the opening and the lock
            (tmp_path / LOCK).unlink()
        taken.append(os.fstat(file.fileno()).st_ino)
        locked(file, operation)

    locked = fcntl.flock
    monkeypatch.setattr("cli.batch.lock.fcntl.flock", flock)
    with lock.held(tmp_path / "out.jsonl"):
        assert (tmp_path / LOCK).stat().st_ino == taken[-1]
    assert len(taken) == 2


@pytest.fixture
def durable(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What was synced and renamed, in order, by name."""
    done: list[tuple[str, str]] = []
    rename, sync = Path.replace, os.fsync

    def replace(self: Path, target: Path) -> Path:
        done.append(("rename", target.name))
        return rename(self, target)

    def fsync(descriptor: int) -> None:
        done.append(("sync", Path(f"/dev/fd/{descriptor}").resolve().name))
        sync(descriptor)

    monkeypatch.setattr(Path, "replace", replace)
    monkeypatch.setattr(os, "fsync", fsync)
    return done


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_content_is_on_the_disk_before_its_name_is(
    run: Run, tmp_path: Path, durable: list[tuple[str, str]], kind: str
) -> None:
    out = f"out.{kind}"
    assert run(table(2), *ASKED[:-1], out) == 0
    assert durable[-3:] == [("sync", f"{out}.new"), ("rename", out), ("sync", tmp_path.name)]
    kept = f"{out}.batchline"
    assert durable[:3] == [("sync", f"{kept}.new"), ("rename", kept), ("sync", tmp_path.name)]


def test_content_that_cannot_be_made_durable_replaces_nothing(
    run: Run, server: StandIn, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the run continues when it can."""
    Path("out.jsonl").write_text("old")
    sync, broken = os.fsync, [True]

    def fsync(descriptor: int) -> None:
        if broken and Path(f"/dev/fd/{descriptor}").resolve().name == "out.jsonl.new":
            raise OSError(5, "Input/output error")
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    assert run(table(2), *ASKED, "--overwrite") == 1
    assert "out.jsonl cannot be written: Input/output error" in capsys.readouterr().err
    assert Path("out.jsonl").read_text() == "old"
    assert not Path("out.jsonl.new").exists()
    assert state.path_of(Path("out.jsonl")).exists()
    broken.clear()
    assert run("in.csv", *ASKED) == 0
    assert [row["output"] for row in lines("out.jsonl")] == ["TEXT 0", "TEXT 1"]
    assert len(server.batches) == 1


def test_a_failure_leaves_the_old_content(tmp_path: Path) -> None:
    (path := tmp_path / "a").write_text("old")
    with suppress(RuntimeError), replaced(path) as new:
        new.write_text("half")
        raise RuntimeError
    assert path.read_text() == "old"
    assert [each.name for each in tmp_path.iterdir()] == ["a"]
    with replaced(path) as new:
        new.write_text("new")
    assert path.read_text() == "new"
