"""The files of the example network, written once, and its models.

Keras and scikit-learn are imported by the tests that need them: each process of a run imports this file.
"""

import importlib
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest

from jobs.catalog import load_catalog
from tests.processes import ROOT
from worker.engine import pipelines

CATALOG = load_catalog(ROOT / "examples" / "formats" / "models.toml")


@pytest.fixture(scope="session")
def iris_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the network in each format."""
    folder = tmp_path_factory.mktemp("iris")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        importlib.import_module("examples.formats.make_files").write_all(folder)
    return folder


Loading = Callable[..., pipelines.LoadedPipeline]


@pytest.fixture(scope="session")
def load(iris_files: Path) -> Loading:
    """`load("onnx")` loads the model of that name, once; `load("onnx", path)` from another file."""
    loaded: dict[str, pipelines.LoadedPipeline] = {}

    def load(name: str, path: Path | None = None) -> pipelines.LoadedPipeline:
        if path is not None:
            return pipelines.load(CATALOG[name], path)
        if name not in loaded:
            loaded[name] = pipelines.load(CATALOG[name], iris_files / Path(CATALOG[name].source or "").name)
        return loaded[name]

    return load
