"""One network from files of six formats: each class loads its file, and computes a batch in one call."""

import importlib
from pathlib import Path
from typing import Any

import pytest

from examples.formats import iris
from jobs.schema import JobRequest, validate_request
from tests.examples.conftest import CATALOG, Loading
from worker.engine import smoke

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TorchScript, and within Keras

each_model = pytest.mark.parametrize("name", list(CATALOG.specs))

Rows = list[list[float]]


@pytest.fixture(scope="module")
def flowers() -> Any:
    """The data set that the network was trained on."""
    return importlib.import_module("sklearn.datasets").load_iris()


@pytest.fixture(scope="module")
def rows(flowers: Any) -> Rows:
    found: Rows = flowers.data.tolist()
    return found


def test_every_format_of_the_list_is_tried() -> None:
    suffixes = {Path(spec.source or "").suffix for spec in CATALOG.specs.values()}
    assert suffixes == {".joblib", ".pt", ".pt2", ".keras", ".h5", ".onnx"}


@each_model
def test_it_knows_the_flowers(load: Loading, name: str, flowers: Any, rows: Rows) -> None:
    outputs = load(name).run(rows, {})
    best = [max(output, key=lambda flower: output[flower]) for output in outputs]
    right = [iris.FLOWERS[kind] == flower for kind, flower in zip(flowers.target, best, strict=True)]
    assert sum(right) >= 0.97 * len(rows)
    assert outputs[0] == pytest.approx(load("scikit-learn").run(rows[:1], {})[0], abs=1e-5)


@each_model
def test_a_batch_answers_as_one_by_one(load: Loading, name: str, rows: Rows) -> None:
    model = load(name)
    some = rows[::10]
    for together, row in zip(model.run(some, {}), some, strict=True):
        assert together == pytest.approx(model.run([row], {})[0], abs=1e-5)


COMPUTES = {
    "scikit-learn": "predict_proba",
    "keras": "predict_on_batch",
    "keras-h5": "predict_on_batch",
    "onnx": "run",
}
"""The method of the library that a class calls; torch modules are called themselves."""


@each_model
def test_a_batch_is_one_call_of_the_library(
    load: Loading, name: str, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load(name)
    calls: list[str] = []
    instance = model._instance
    attribute = "session" if name == "onnx" else "model"
    library = getattr(instance, attribute)

    class Counted:
        def __call__(self, given: Any) -> Any:
            calls.append("call")
            return library(given)

        def __getattr__(self, method: str) -> Any:
            calls.append(method)
            return getattr(library, method)

    monkeypatch.setattr(instance, attribute, Counted())
    assert len(model.run(rows, {})) == len(rows)
    assert calls == [COMPUTES.get(name, "call")]


@each_model
def test_its_example_is_accepted_and_runs(load: Loading, name: str) -> None:
    spec = CATALOG[name]
    job = validate_request(JobRequest(inputs=spec.example, model=name), spec)
    assert job.inputs == [[5.1, 3.5, 1.4, 0.2]]
    smoke.run(spec, load(name))
    inputs, parameters = load(name).warm_up() or ([], {})
    assert len(load(name).run(inputs, parameters)) == 1


@pytest.mark.parametrize(
    "row", [[1.0, 2.0, 3.0], [1, 2, 3, "4"], {"a": 1}, [[1, 2, 3, 4]], 7, [1, 2, 3, True]]
)
def test_a_bad_row_gets_a_sentence(row: Any) -> None:
    with pytest.raises(ValueError, match=r"^an input must be a list of 4 numbers: sepal length, .* in cm$"):
        iris.table([row])


def test_onnx_computes_with_the_engines_number_of_threads(
    load: Loading, iris_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    onnx: Any = load("onnx", iris_files / "iris.onnx")
    assert onnx._instance.session.get_session_options().intra_op_num_threads == 3


def test_keras_runs_on_torch(load: Loading) -> None:
    load("keras")
    assert importlib.import_module("keras").backend.backend() == "torch"
