"""What a model file may do when it is loaded: code in it is refused where the format allows that.

The rest pins down what docs/custom-pipelines.md says of the formats that are programs, so that the page is
corrected if a release of a library changes it.
"""

import contextlib
import importlib
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import h5py
import joblib
import numpy as np
import onnx
import pytest
import torch
from onnx import helper

from jobs.errors import ConfigurationError
from tests.examples.conftest import CATALOG, Loading

pytestmark = pytest.mark.filterwarnings("ignore")  # of TorchScript, of Keras, and of torch about the pickle


class Touch:
    """Creates a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return Path.touch, (self.path,)


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    """A file that exists once code of a model file has run."""
    return tmp_path / "trace"


def torch_saved(value: Any) -> bytes:
    file = io.BytesIO()
    torch.save(value, file)
    return file.getvalue()


def changed(archive: Path, target: Path, entries: dict[str, bytes]) -> Path:
    """A copy of a zip archive, with other contents for entries whose names end so, or in the same folder."""
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(target, "w") as new:
        for name in old.namelist():
            content = next((content for end, content in entries.items() if name.endswith(end)), None)
            new.writestr(name, old.read(name) if content is None else content)
        root = old.namelist()[0].partition("/")[0]
        for end, content in entries.items():
            if not any(name.endswith(end) for name in old.namelist()):
                new.writestr(f"{root}/{end}", content)
    return target


def test_pickle_is_no_torch_file(load: Loading, tmp_path: Path, trace: Path) -> None:
    pickled = {"raw": pickle.dumps(Touch(trace)), "saved": torch_saved(Touch(trace))}
    for name, content in pickled.items():
        path = tmp_path / f"{name}.pt"
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="PytorchStreamReader failed"):
            load("torch-script", path)
        with pytest.raises(ConfigurationError, match="Weights only load failed"):
            load("torch-weights", path)
    assert not trace.exists()


def test_weights_for_another_network(load: Loading, tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 2).state_dict(), tmp_path / "other.pt")
    with pytest.raises(ConfigurationError, match=r"Error.* in loading state_dict for Network"):
        load("torch-weights", tmp_path / "other.pt")


def test_pickled_parts_of_a_torch_export(
    load: Loading, iris_files: Path, tmp_path: Path, trace: Path
) -> None:
    samples = {"data/sample_inputs/model.pt": torch_saved(Touch(trace))}
    with pytest.raises(ConfigurationError, match="Weights only load failed"):
        load("torch-export", changed(iris_files / "iris.pt2", tmp_path / "samples.pt2", samples))
    entry = {"path_name": "weight", "is_param": True, "use_pickle": True, "tensor_meta": None}
    weights = {
        "data/weights/model_weights_config.json": json.dumps({"config": {"0.weight": entry}}).encode(),
        "data/weights/weight": torch_saved(Touch(trace)),
    }
    with pytest.raises(ConfigurationError, match="Weights only load failed"):
        load("torch-export", changed(iris_files / "iris.pt2", tmp_path / "weights.pt2", weights))
    assert not trace.exists()


class TestPrograms:
    """The formats that the page calls programs."""

    def test_joblib(self, load: Loading, tmp_path: Path, trace: Path) -> None:
        joblib.dump(Touch(trace), tmp_path / "file.joblib")
        load("scikit-learn", tmp_path / "file.joblib")
        assert trace.exists()

    def test_torch_script(self, load: Loading, tmp_path: Path, trace: Path) -> None:
        class Writer(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.path = str(trace)

            def forward(self, rows: torch.Tensor) -> torch.Tensor:
                return torch.softmax(rows[:, :3] + torch.from_file(self.path, True, 3), -1)  # creates it

        torch.jit.script(Writer()).save(tmp_path / "file.pt")  # type: ignore[no-untyped-call]
        load("torch-script", tmp_path / "file.pt").run([[1, 2, 3, 4]], {})
        assert trace.exists()

    def test_torch_export(self, load: Loading, iris_files: Path, tmp_path: Path, trace: Path) -> None:
        entry = {"path_name": "opaque_obj_0", "is_param": False, "use_pickle": True, "tensor_meta": None}
        constants = {
            "data/constants/model_constants_config.json": json.dumps({"config": {"c": entry}}).encode(),
            "data/constants/opaque_obj_0": pickle.dumps(Touch(trace)),
        }
        with contextlib.suppress(ConfigurationError):  # too late
            load("torch-export", changed(iris_files / "iris.pt2", tmp_path / "file.pt2", constants))
        assert trace.exists()


def test_code_in_a_keras_model(load: Loading, tmp_path: Path, trace: Path) -> None:
    keras = importlib.import_module("keras")
    path = str(trace)
    layers = {
        "Lambda": keras.layers.Lambda(lambda rows: open(path, "w") and rows, output_shape=(4,)),  # noqa: SIM115, PTH123
        "TorchModuleWrapper": keras.layers.TorchModuleWrapper(torch.nn.Linear(4, 4)),
    }
    reason = {
        ("Lambda", "keras"): "deserialization of a `Lambda` layer .* disallowed by default",
        ("Lambda", "h5"): "deserialization of a `Lambda` layer .* disallowed by default",
        ("TorchModuleWrapper", "keras"): "deserialization of a `torch.nn.Module` .* disallowed by default",
        ("TorchModuleWrapper", "h5"): "Unknown layer: 'TorchModuleWrapper'",
    }
    for name, layer in layers.items():
        model = keras.Sequential([keras.layers.Input((4,)), layer])
        trace.unlink(missing_ok=True)  # saving ran it
        for suffix in ("keras", "h5"):
            file = tmp_path / f"{name}.{suffix}"
            model.save(file)
            with pytest.raises(ConfigurationError, match=reason[name, suffix]):
                load("keras", file)
    assert not trace.exists()


def test_a_keras_model_that_names_a_function(load: Loading, iris_files: Path, tmp_path: Path) -> None:
    """An object of its configuration is looked up by module and name, among Keras' own only."""
    with zipfile.ZipFile(iris_files / "iris.keras") as archive:
        config = json.loads(archive.read("config.json"))
    config["config"]["layers"][1]["config"]["activation"] = {
        "module": "os",
        "class_name": "function",
        "config": "system",
        "registered_name": "function",
    }
    file = changed(
        iris_files / "iris.keras", tmp_path / "function.keras", {"config.json": json.dumps(config).encode()}
    )
    with pytest.raises(ConfigurationError, match=r"building .* failed with"):
        load("keras", file)


def test_a_h5_file_that_points_elsewhere(load: Loading, iris_files: Path, tmp_path: Path) -> None:
    """An external link must not read another file of the machine."""
    file = tmp_path / "link.h5"
    file.write_bytes((iris_files / "iris.h5").read_bytes())
    with h5py.File(file, "a") as opened:
        del opened["model_weights"]
        opened["model_weights"] = h5py.ExternalLink(str(iris_files / "iris.h5"), "/model_weights")
    with pytest.raises(ConfigurationError, match=r"building .* failed with"):
        load("keras-h5", file)


def onnx_file(path: Path, node: onnx.NodeProto, *initializers: onnx.TensorProto) -> Path:
    ends = [helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, ["n", 4]) for name in ("rows", "out")]
    graph = helper.make_graph([node], "g", ends[:1], ends[1:], list(initializers))
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("foreign", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    path.write_bytes(model.SerializeToString())
    return path


def test_an_onnx_file_with_a_foreign_operator(load: Loading, tmp_path: Path) -> None:
    node = helper.make_node("Touch", ["rows"], ["out"], domain="foreign")
    with pytest.raises(ConfigurationError, match=r"foreign:Touch\(-1\) is not a registered function/op"):
        load("onnx", onnx_file(tmp_path / "foreign.onnx", node))


def test_an_onnx_file_that_reads_another_file(load: Loading, tmp_path: Path) -> None:
    (tmp_path / "secret").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    folder = tmp_path / "model"
    folder.mkdir()
    outside = onnx.TensorProto(
        name="w", data_type=onnx.TensorProto.FLOAT, dims=[4], data_location=onnx.TensorProto.EXTERNAL
    )
    for key, value in {"location": "../secret", "offset": "0", "length": "16"}.items():
        outside.external_data.add(key=key, value=value)
    node = helper.make_node("Add", ["rows", "w"], ["out"])
    with pytest.raises(ConfigurationError, match="External data path escapes model directory"):
        load("onnx", onnx_file(folder / "file.onnx", node, outside))


@pytest.mark.parametrize("name", list(CATALOG.specs))
def test_a_damaged_file(load: Loading, iris_files: Path, tmp_path: Path, name: str) -> None:
    file = iris_files / Path(CATALOG[name].source or "").name
    damaged = tmp_path / file.name
    for content in (b"", bytes(200), file.read_bytes()[: file.stat().st_size // 2]):
        damaged.write_bytes(content)
        with pytest.raises(ConfigurationError, match=f"model '{name}': building .* failed with"):
            load(name, damaged)
