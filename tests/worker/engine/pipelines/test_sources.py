"""A model that cannot be served is refused with a reason before the first job."""

import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from tests.worker.engine.pipelines.conftest import ModelFolder, load
from worker.engine import pipelines


def _no_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def _pickle_only(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "pytorch_model.bin")


def _pickle_beside_something_else(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").rename(folder / "other.safetensors")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda folder: shutil.rmtree(folder), "is not a folder with a model's files$"),
        (lambda folder: (folder / "config.json").unlink(), "has no config.json$"),
        (lambda folder: (folder / "model.safetensors").unlink(), r"has no .safetensors file$"),
        (_pickle_only, "no .safetensors file; pytorch_model.bin is pickle, which is never loaded$"),
        (_pickle_beside_something_else, "no file named model.safetensors"),
        (lambda folder: (folder / "model.safetensors").write_bytes(b"torn"), "cannot be loaded for"),
        (lambda folder: (folder / "config.json").write_text("{"), "cannot be loaded for"),
        (_no_tokenizer, "has no words; check that tokenizer.json exists and is complete$"),
    ],
)
def test_damaged_files(
    model_folder: ModelFolder, tmp_path: Path, damage: Callable[[Path], Any], reason: str
) -> None:
    folder = shutil.copytree(model_folder("text-classification"), tmp_path / "copy")
    damage(folder)
    with pytest.raises(ConfigurationError, match=f"^model 'tiny': .*{reason}") as caught:
        load(folder, "text-classification")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("model", "task", "reason"),
    [
        ("fill-mask", "text-classification", "not trained for text-classification: it is a BertForMaskedLM"),
        ("text-classification", "token-classification", "it is a BertForSequenceClassification"),
        ("text-generation", "fill-mask", "cannot be loaded for fill-mask"),
        ("text-classification", "zero-shot-classification", "names no label that starts with 'entail'"),
    ],
)
def test_the_wrong_task(model_folder: ModelFolder, model: str, task: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=reason):
        load(model_folder(model), task)


def test_weights_that_are_missing_are_not_made_up(model_folder: ModelFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("fill-mask"), tmp_path / "copy")
    config = (folder / "config.json").read_text()
    (folder / "config.json").write_text(config.replace("ForMaskedLM", "ForSequenceClassification"))
    with pytest.raises(
        ConfigurationError, match=r"not trained for .*: its files do not contain bert\.pooler\."
    ):
        load(folder, "text-classification")


def test_features_need_no_pooler(model_folder: ModelFolder) -> None:
    assert load(model_folder("fill-mask"), "feature-extraction").run(["good"], {})


def test_a_device_that_is_not_there(model_folder: ModelFolder) -> None:
    folder = model_folder("text-classification")
    spec = ModelSpec(name="tiny", task="text-classification", source=str(folder), device="xla:7")
    with pytest.raises(ConfigurationError, match="model 'tiny': device 'xla:7' cannot be used"):
        pipelines.load(spec, folder)


def test_a_hub_that_must_not_be_asked() -> None:
    """HF_HUB_OFFLINE is set here; `test_hub.py` has the other ways to be without a hub."""
    spec = ModelSpec(name="far", task="fill-mask", source="nobody/nothing", revision="main", device="cpu")
    message = (
        "model 'far': nobody/nothing is not in the cache, and HF_HUB_OFFLINE forbids requests to the hub"
    )
    with pytest.raises(ConfigurationError, match=message) as caught:
        pipelines.load(spec, None)
    assert "\n" not in str(caught.value)


def test_code_in_a_models_folder_is_not_run(model_folder: ModelFolder, tmp_path: Path) -> None:
    folder = shutil.copytree(model_folder("text-classification"), tmp_path / "copy")
    ran = tmp_path / "ran"
    (folder / "evil.py").write_text(f"import pathlib\npathlib.Path({str(ran)!r}).touch()\n")
    config = (folder / "config.json").read_text().replace('"model_type": "bert"', '"model_type": "evil"')
    names = '"AutoConfig": "evil.C", "AutoModelForSequenceClassification": "evil.M"'
    (folder / "config.json").write_text(config.replace("{", f'{{"auto_map": {{{names}}},', 1))
    with pytest.raises(ConfigurationError, match="contains custom code"):
        load(folder, "text-classification")
    assert not ran.exists()


def test_nothing_is_printed(model_folder: ModelFolder) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from jobs.models import ModelSpec; from worker.engine import pipelines\n"
        "for task, folder in zip(sys.argv[1::2], sys.argv[2::2]):\n"
        "    spec = ModelSpec(name='tiny', task=task, source=folder, device='cpu')\n"
        "    pipeline = pipelines.load(spec, Path(folder))\n"
        "    pipeline.run(*pipeline.warm_up())\n"
    )
    # A head that goes unused and a pooler that is missing; sampling options without sampling.
    pairs = [
        ("feature-extraction", str(model_folder("fill-mask"))),
        ("text-generation", str(model_folder("text-generation"))),
    ]
    command = [sys.executable, "-c", code, *(word for pair in pairs for word in pair)]
    done = subprocess.run(command, cwd=Path(__file__).parents[4], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("", "")
