"""A peer is measured, or the reason is reported; it leaves no process behind."""

import sys
from pathlib import Path

import psutil
import pytest

from bench.peers import measuring
from bench.peers.measuring import Measured, echoes, embeddings
from bench.peers.peer import Setting
from bench.peers.process import serving, wait_for
from bench.plan import Plan
from tests.bench.peers import server
from tests.bench.peers.peers import PEER

PYTHON = Path(sys.executable)
PLAN = Plan(0, "", 2, 0.05, [], "", warm_up=0.02)
OFFLINE = {0: [0.6, 0.8]}


def measure(behaviour: int, folder: Path, python: Path = PYTHON) -> Measured:
    log = folder / "log"
    return embeddings(PEER, Setting(behaviour), python, folder, ["one", "two"], PLAN, OFFLINE, log)


def test_a_peer_with_right_answers_counts(tmp_path: Path) -> None:
    found = measure(server.RIGHT, tmp_path)
    assert found.problem == ""
    assert found.rate > 0
    assert found.right


def test_a_peer_with_wrong_answers_is_detected(tmp_path: Path) -> None:
    found = measure(server.WRONG, tmp_path)
    assert found.cosine == pytest.approx(0.96)
    assert found.rate > 0
    assert not found.right


def test_a_peer_that_dies_is_reported_with_its_last_output(tmp_path: Path) -> None:
    found = measure(server.DIES, tmp_path)
    assert (found.load, found.right) == (None, False)
    assert "status 1: there is no model" in found.problem


def test_a_missing_peer_is_reported(tmp_path: Path) -> None:
    assert "cannot be started" in measure(server.RIGHT, tmp_path, tmp_path / "python").problem


def test_an_echo_has_nothing_to_compare(tmp_path: Path) -> None:
    found = echoes(PEER, Setting(server.WRONG), PYTHON, ["one"], PLAN, tmp_path / "log")
    assert (found.problem, found.cosine, found.right) == ("", None, True)


def test_a_peer_that_refuses_is_not_waited_for_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "READY", 2.0)
    assert "does not answer after 2 s" in measure(server.REFUSES, tmp_path).problem


def test_all_that_a_peer_started_ends_with_it(tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "tests.bench.peers.server"]
    given = {"PEER_SIZE": str(server.STUBBORN), "PEER_PORT": "0"}
    with serving(command, given, log) as process:
        wait_for(process, lambda: log.read_text().strip().isdigit(), log, 30)
        child = psutil.Process(int(log.read_text()))
        assert child.is_running()
    assert process.returncode is not None
    assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
