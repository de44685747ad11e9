"""`batchline serve FOLDER_OR_HUB_ID`: one model without a models file, and each refusal in one sentence."""

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import hub
from tests.journey.conftest import Refused
from tests.journey.instance import Instance, ready, refusal
from tests.ports import free_port
from tests.processes import ROOT
from tests.waiting import until

SERVE = (sys.executable, "-m", "cli", "serve")
DEMO = ROOT / "models" / "sentiment"
TASKS = "set one with --task: text-classification, "


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A folder that looks like a checkpoint, but cannot be loaded."""
    folder = tmp_path / "My Model.v2"
    folder.mkdir()
    (folder / "model.safetensors").touch()
    return folder


def write_config(folder: Path, **config: Any) -> None:
    (folder / "config.json").write_text(json.dumps(config))


async def test_a_folder_is_served_where_the_options_say(tmp_path: Path) -> None:
    """They take precedence over the environment."""
    address = f"127.0.0.2:{(port := free_port())}"
    options = ["--name", "film-reviews", "--port", str(port), "--host", "127.0.0.2"]
    instance = Instance(tmp_path, str(DEMO), *options, host="127.0.0.3", command=SERVE)
    try:
        await instance.until_said(f"Batchline is ready: http://{address} ")
        assert instance.says(f"Serving {DEMO} as film-reviews, for text-classification\n")
        job = await instance.answer("A wonderful film.", address)
        assert (job["model"], job["results"][0]["output"]["label"]) == ("film-reviews", "POSITIVE")
        written = tmp_path / "data" / f"models-{port}.toml"
        assert written.exists()
        instance.family()
        os.killpg(instance.process.pid, signal.SIGINT)
        assert await instance.ended() == 0
        assert not written.exists()
    finally:
        instance.clean_up()


@pytest.mark.timeout(300)  # four starts
async def test_a_model_of_the_hub_is_served_and_again_without_the_hub(tmp_path: Path) -> None:
    cache = {"HF_HOME": str(tmp_path / "huggingface"), "HF_HUB_DISABLE_XET": "1"}
    printed = "Serving org/Film-Reviews as film-reviews, for text-classification\n"
    with hub.running({"org/Film-Reviews": DEMO}) as url:
        environment = cache | {"HF_ENDPOINT": url}
        async with ready(tmp_path, "org/Film-Reviews", environment=environment, command=SERVE) as instance:
            assert instance.says(printed)
            models_file = (tmp_path / "data" / f"models-{instance.port}.toml").read_text()
            assert f'revision = "{hub.COMMIT}"' in models_file
            job = await instance.answer("A wonderful film.")
            assert job["results"][0]["output"]["label"] == "POSITIVE"
        for arguments, sentence in (
            (["org/nothing"], "org/nothing is neither a folder here nor a public model on the hub"),
            (["org/Film-Reviews", "--revision", "v9"], "org/Film-Reviews has no revision v9 on the hub"),
        ):
            assert sentence in await refusal(tmp_path, *arguments, environment=environment, command=SERVE)
    instance = Instance(tmp_path, "org/Film-Reviews", environment=environment, command=SERVE)
    try:
        await instance.until_said(printed)
    finally:
        instance.clean_up()


async def test_a_hub_that_does_not_answer_is_one_sentence(tmp_path: Path) -> None:
    environment = {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}"}
    printed = await refusal(tmp_path, "org/name", environment=environment, command=SERVE)
    assert printed.startswith("batchline: org/name is not a folder here, and the hub cannot be reached: ")


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["./gone"], "gone does not exist"),
        (["a/b..c"], "a/b..c does not exist"),
        (["/a/b/c"], "/a/b/c does not exist"),
        ([str(ROOT / "models.toml")], f"is a models file; serve it with BATCHLINE_MODELS_FILE={ROOT}"),
        ([str(ROOT / "README.md")], "README.md is not a folder with a model's files"),
        ([str(ROOT / "docs")], "docs has no config.json"),
        ([str(DEMO), "--task", "chat"], "--task 'chat': unknown task 'chat'; known: text-classification, "),
        ([str(DEMO), "--name", "My Model"], "--name 'My Model': "),
        ([str(DEMO), "--revision", "main"], "is a folder; --revision is for a model from the hub"),
    ],
)
def test_what_cannot_be_served_is_one_sentence(
    refused: Refused, tmp_path: Path, arguments: list[str], sentence: str
) -> None:
    assert sentence in refused(*arguments)
    assert not (tmp_path / "data").exists()


def test_a_task_that_is_not_known_must_be_named(refused: Refused, model: Path) -> None:
    write_config(model, architectures=["T5ForConditionalGeneration"])
    printed = refused(str(model))
    assert printed.startswith(f"batchline: {model}: it is a T5ForConditionalGeneration, ")
    assert TASKS in printed
    write_config(model)
    assert TASKS in refused(str(model))


async def test_a_named_task_is_taken_and_the_folder_gives_the_name(tmp_path: Path, model: Path) -> None:
    write_config(model)
    instance = Instance(tmp_path, str(model), "--task", "fill-mask", command=SERVE)
    try:
        await instance.until_said(f"Serving {model} as my-model.v2, for fill-mask\n")

        async def refused() -> bool:
            instance.family()
            return instance.process.poll() is not None

        await until(refused)
        assert await instance.ended() == 1
        assert instance.says("model 'my-model.v2': ")
    finally:
        instance.clean_up()


@pytest.mark.thorough  # the tests of the engine's pipelines load such folders too
async def test_a_folder_of_sentence_transformers_makes_vectors(tmp_path: Path) -> None:
    folder = shutil.copytree(DEMO, tmp_path / "vectors")
    config = json.loads((folder / "config.json").read_text())
    write_config(
        folder, **config | {"architectures": [config["architectures"][0].partition("For")[0] + "Model"]}
    )
    steps = [("Transformer", ""), ("Pooling", "1_Pooling")]
    modules = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in steps]
    (folder / "modules.json").write_text(json.dumps(modules))
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    async with ready(tmp_path, str(folder), command=SERVE) as instance:
        assert instance.says("for feature-extraction\n")
        job = await instance.answer("A wonderful film.")
        assert isinstance(job["results"][0]["output"], list)
