"""Tiny models, each saved once per session, and the plain transformers pipeline to compare with."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from huggingface_hub import constants

from jobs.models import ModelSpec
from tests.worker.engine.pipelines import tiny
from worker.engine import pipelines

torch.set_num_threads(1)  # two would wait for each other over models as small as these

ModelFolder = Callable[[str], Path]


@pytest.fixture(autouse=True)
def _no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """For these tests only: others of the same process ask a hub of their own."""
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> ModelFolder:
    """The folder of a model in `tiny.BUILDERS`."""
    base = tmp_path_factory.mktemp("models")

    def folder(name: str) -> Path:
        if not (base / name).exists():
            tiny.BUILDERS[name](base / name)
        return base / name

    return folder


def load(folder: Path, task: str, **settings: Any) -> pipelines.LoadedPipeline:
    spec = ModelSpec(**{"name": "tiny", "task": task, "source": str(folder), "device": "cpu", **settings})
    return pipelines.load(spec, folder)


def plain_pipeline(folder: Path, task: str) -> Any:
    """What a user of transformers would call, one text at a time."""
    return transformers.pipeline(
        task,  # type: ignore[call-overload]
        model=str(folder),
        device="cpu",
        dtype=torch.float32,
    )


def assert_same(ours: Any, theirs: Any) -> None:
    """Equal in shape, keys, labels and words; numbers to 1e-5."""
    if isinstance(theirs, dict):
        assert ours.keys() == theirs.keys()
        for key in theirs:
            assert_same(ours[key], theirs[key])
    elif isinstance(theirs, list):
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    elif isinstance(theirs, str | int | None):
        assert ours == theirs
    else:
        assert type(ours) is float
        assert ours == pytest.approx(float(theirs), abs=1e-5)
