"""Each model is loaded once: by transformers alone, and here."""

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from tests.worker.engine.pipelines.conftest import ModelFolder, load, plain_pipeline

Both = Callable[[str, str], tuple[Any, Any]]


@pytest.fixture(scope="session")
def both(model_folder: ModelFolder) -> Both:
    """Returns the pipeline of transformers, and ours, for a model in `tiny.BUILDERS` and a task."""

    @cache
    def loaded(model: str, task: str) -> tuple[Any, Any]:
        return plain_pipeline(model_folder(model), task), load(model_folder(model), task)

    return loaded
