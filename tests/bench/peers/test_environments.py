"""A peer's environment matches its requirements; one that cannot be created is reported."""

import dataclasses
import sys
from pathlib import Path

import pytest

from bench.errors import BenchError
from bench.peers import environments, infinity, peer
from bench.peers.__main__ import prepare
from bench.peers.catalogue import PEERS
from bench.peers.peer import SERVERS, Peer
from tests.bench.peers.peers import PEER
from tests.processes import ROOT


def pins(file: Path) -> dict[str, str]:
    lines = [line for line in file.read_text(encoding="utf-8").splitlines() if line[:1] not in ("", "#")]
    assert all("==" in line for line in lines)
    return {name: version for name, _, version in (line.partition("==") for line in lines)}


def own_environment(contender: Peer) -> bool:
    """Whether it runs in Batchline's own environment, or in one that adds to it."""
    file = contender.requirements
    return file is None or file.name.startswith(environments.ADDITIONS)


@pytest.mark.parametrize("contender", PEERS, ids=lambda contender: contender.name)
def test_a_peer_runs_the_model_with_the_same_torch(contender: Peer) -> None:
    if contender.requirements is None:
        assert contender.name in ("fastapi", "fastapi-arq")
        return
    wanted, own = pins(contender.requirements), pins(ROOT / "constraints.txt")
    if own_environment(contender):
        assert "torch" not in wanted
        return
    assert wanted["torch"] == own["torch"]
    if contender.name != "infinity":  # its sentence-transformers needs an older one
        assert wanted["transformers"] == own["transformers"]


@pytest.mark.parametrize("contender", PEERS, ids=lambda contender: contender.name)
def test_a_peers_server_is_there(contender: Peer) -> None:
    commands = [given for given in (contender.command, contender.worker) if given is not None]
    for command in commands:
        parts = command(Path("python"), 1, "model", contender.shipped)
        modules = [part.partition(":")[0] for part in parts if part.startswith(SERVERS)]
        assert all((ROOT / f"{name.replace('.', '/')}.py").exists() for name in modules)
        assert modules or contender.name.startswith("infinity")  # which is a server by itself


def test_a_peer_that_cannot_be_installed_is_reported_and_the_others_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peer, "REQUIREMENTS", tmp_path)
    (tmp_path / "requirements-broken.txt").write_text("./there-is-no-such.whl\n")
    broken = dataclasses.replace(PEER, name="broken")
    pythons, versions, missing = prepare([broken, PEER], tmp_path / "venvs")
    assert pythons == {PEER: Path(sys.executable)}
    assert set(versions["other"]) == {"python", "torch", "transformers"}
    assert list(missing) == ["broken"]
    assert "there-is-no-such.whl" in missing["broken"]


def test_additions_are_installed_without_what_they_need_and_find_the_rest_in_batchlines_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], seconds: float) -> str:
        ran.append(command)
        if "venv" in command:
            Path(command[-1]).mkdir(parents=True)
        return str(tmp_path)

    monkeypatch.setattr(environments, "_run", run)
    monkeypatch.setenv("TORCH_INDEX_URL", "unused")
    file = tmp_path / "additions-other.txt"
    file.write_text("a==1")
    environments.environment("other", file, tmp_path / "venvs")
    [install] = [command for command in ran if "pip" in command]
    assert install[-3:] == ["--no-deps", "-r", str(file)]
    assert Path((tmp_path / "batchline.pth").read_text().strip()).joinpath("torch").exists()


def test_an_environment_is_made_again_when_its_requirements_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Path] = []

    def make(home: Path, python: Path, requirements: Path) -> None:
        made.append(home)
        home.mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(peer, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "_make", make)
    file = tmp_path / "requirements-other.txt"
    for text, times in (("a==1", 1), ("a==1", 1), ("a==2", 2)):
        file.write_text(text)
        environments.python_of(PEER, tmp_path)
        assert len(made) == times


def test_an_environment_that_was_interrupted_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(home: Path, python: Path, requirements: Path) -> None:
        python.parent.mkdir(parents=True, exist_ok=True)
        raise BenchError("interrupted")

    monkeypatch.setattr(peer, "REQUIREMENTS", tmp_path)
    monkeypatch.setattr(environments, "_make", fail)
    (tmp_path / "requirements-other.txt").write_text("a==1")
    for _ in range(2):
        with pytest.raises(BenchError):
            environments.python_of(PEER, tmp_path)


def test_infinity_cuts_texts_where_the_others_do(tmp_path: Path) -> None:
    package = tmp_path / "package"
    (package / "1_Pooling").mkdir(parents=True)
    (package / "1_Pooling" / "config.json").write_text("{}")
    (package / "sentence_bert_config.json").write_text('{"max_seq_length": 256, "do_lower_case": false}')
    copy = infinity.for_infinity(package, tmp_path)
    assert (
        copy / "sentence_bert_config.json"
    ).read_text() == '{"max_seq_length": 512, "do_lower_case": false}'
    assert (copy / "1_Pooling" / "config.json").read_text() == "{}"
    assert "256" in (package / "sentence_bert_config.json").read_text()


@pytest.mark.parametrize("contender", PEERS, ids=lambda contender: contender.name)
def test_a_peer_is_tried_in_several_ways_each_with_a_name_of_its_own(contender: Peer) -> None:
    names = [setting.name(contender.unit) for setting in contender.settings()]
    assert len(set(names)) == len(names) >= 3
