"""`batchline check-models`: one line for each model, and exit status 1 if one could not be loaded."""

import json
from pathlib import Path

import pytest

from cli.check_models import main
from tests.processes import ROOT

REVISION = "0123456789abcdef0123456789abcdef01234567"


def checkpoint(folder: Path, architecture: str) -> Path:
    """The files that are looked at; nothing could be loaded from them."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"architectures": [architecture]}))
    (folder / "model.safetensors").touch()
    return folder


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "__init__.py").touch()
    (tmp_path / "own" / "spam.py").write_text("raise AssertionError('imported')\n")
    return tmp_path / "models.toml"


def checked(models: Path, capsys: pytest.CaptureFixture[str], text: str) -> tuple[int, dict[str, str]]:
    """The exit status, and the line of each model."""
    models.write_text(text)
    status = main([str(models)])
    out, err = capsys.readouterr()
    assert err == ""
    return status, {line.split()[0]: " ".join(line.split()[1:]) for line in out.splitlines()}


def test_each_model_is_one_line(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = checkpoint(models.parent / "bert", "BertForMaskedLM")
    text = f"""
        [models.mask]
        task = "fill-mask"
        source = "bert"
        [models.vectors]
        task = "feature-extraction"
        source = "bert"
        [models.spam]
        pipeline = "own.spam:Filter"
        [models.far]
        task = "fill-mask"
        source = "nobody/nothing"
        revision = "{REVISION}"
    """
    assert checked(models, capsys, text) == (
        0,
        {
            "mask": f"ok fill-mask from {folder}",
            "vectors": f"ok feature-extraction from {folder}",
            "spam": "ok own.spam:Filter",
            "far": f"ok fill-mask from the hub, nobody/nothing at {REVISION}, downloaded at the first start",
        },
    )


def test_each_fault_is_reported(models: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = models.parent
    checkpoint(folder / "bert", "BertForMaskedLM")
    checkpoint(folder / "torn", "X")
    (folder / "torn" / "config.json").write_text("{")
    (folder / "empty").mkdir()
    text = """
        [models.well]
        task = "fill-mask"
        source = "bert"
        [models.task]
        task = "text-classification"
        source = "bert"
        [models.gone]
        task = "fill-mask"
        source = "gone"
        [models.empty]
        task = "fill-mask"
        source = "empty"
        [models.torn]
        task = "fill-mask"
        source = "torn"
        [models.texts]
        task = "fill-mask"
        source = "bert"
        dtype = "auto"
        held_out = "texts.txt"
        [models.module]
        pipeline = "own.gone:Filter"
        [models.package]
        pipeline = "nowhere.spam:Filter"
    """
    status, states = checked(models, capsys, text)
    assert status == 1
    assert states.pop("well").startswith("ok ")
    torn = states.pop("torn")
    assert torn.startswith(f"FAULT {folder / 'torn' / 'config.json'} is not valid JSON: ")
    assert states == {
        "task": "FAULT it was not trained for text-classification: it is a BertForMaskedLM",
        "gone": f"FAULT {folder / 'gone'} does not exist; a model from the hub needs a revision = ...",
        "empty": f"FAULT {folder / 'empty'} has no config.json",
        "texts": f"FAULT held_out: {folder / 'texts.txt'} does not exist",
        "module": "FAULT the module own.gone is neither here nor in an installed package",
        "package": "FAULT the module nowhere.spam is neither here nor in an installed package",
    }


def test_the_models_file_of_this_repository_is_well(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    assert main([str(ROOT / "models.toml")]) == 0
    assert "sentiment" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "sentence"),
    [("[", "is not valid TOML"), ("", "must contain only"), ('[models.x]\ntask = "x"', "unknown task")],
)
def test_a_file_that_cannot_be_read_is_one_sentence(
    models: Path, capsys: pytest.CaptureFixture[str], text: str, sentence: str
) -> None:
    models.write_text(text)
    assert main([str(models)]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1)
    assert err.startswith("batchline: ")
    assert sentence in err
