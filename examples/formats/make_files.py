"""Trains a small network on scikit-learn's iris flowers and writes it in each format.

    python -m examples.formats.make_files

It is trained once, with scikit-learn; the other formats get the same weights. So all of them have the same
answers.
"""

import os
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import sklearn.datasets
import sklearn.neural_network
import torch
from onnx import helper, numpy_helper

from examples.formats.torch_weights import Network

Layers = list[tuple[np.ndarray, np.ndarray]]
"""For each layer its weights, [inputs, outputs], and its offsets, [outputs]."""


def train() -> Any:
    """Returns a network of 16 hidden neurons that labels about 98 % of the flowers correctly."""
    flowers = sklearn.datasets.load_iris()
    model = sklearn.neural_network.MLPClassifier(
        (16,), solver="lbfgs", alpha=0.01, max_iter=2_000, random_state=0
    )
    return model.fit(flowers.data, flowers.target)


def torch_network(layers: Layers) -> Network:
    """Returns the network as a torch module."""
    network = Network().eval()
    for layer, (weights, offsets) in zip((network[0], network[2]), layers, strict=True):
        layer.weight.data = torch.from_numpy(weights.T.copy())
        layer.bias.data = torch.from_numpy(offsets.copy())
    return network


def write_torch_script(layers: Layers, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.jit.script(torch_network(layers)).save(path)  # type: ignore[no-untyped-call]


def write_torch_export(layers: Layers, path: Path) -> None:
    rows = torch.export.Dim("rows", min=1)
    program = torch.export.export(torch_network(layers), (torch.ones(2, 4),), dynamic_shapes=[{0: rows}])
    torch.export.save(program, path)


def write_torch_weights(layers: Layers, path: Path) -> None:
    torch.save(torch_network(layers).state_dict(), path)


def write_keras(layers: Layers, path: Path) -> None:
    os.environ.setdefault("KERAS_BACKEND", "torch")
    import keras

    model = keras.Sequential(
        [
            keras.layers.Input((4,)),
            keras.layers.Dense(16, activation="relu"),
            keras.layers.Dense(3, activation="softmax"),
        ]
    )
    model.set_weights([part for layer in layers for part in layer])
    model.save(path)


def write_onnx(layers: Layers, path: Path) -> None:
    (first, offsets), (second, last_offsets) = layers
    parts = {"first": first, "offsets": offsets, "second": second, "last_offsets": last_offsets}
    graph = helper.make_graph(
        [
            helper.make_node("Gemm", ["rows", "first", "offsets"], ["hidden"]),
            helper.make_node("Relu", ["hidden"], ["active"]),
            helper.make_node("Gemm", ["active", "second", "last_offsets"], ["logits"]),
            helper.make_node("Softmax", ["logits"], ["probabilities"], axis=-1),
        ],
        "iris",
        [helper.make_tensor_value_info("rows", onnx.TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, ["rows", 3])],
        [numpy_helper.from_array(values, name) for name, values in parts.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


WRITERS: dict[str, Callable[[Layers, Path], None]] = {
    "iris.script.pt": write_torch_script,
    "iris.pt2": write_torch_export,
    "iris.weights.pt": write_torch_weights,
    "iris.keras": write_keras,
    "iris.h5": write_keras,
    "iris.onnx": write_onnx,
}
"""File name -> what writes it. The `.joblib` is the trained model itself."""


def write_all(folder: Path, names: Sequence[str] = tuple(WRITERS)) -> None:
    """Writes `iris.joblib` and the named files."""
    model = train()
    joblib.dump(model, folder / "iris.joblib")
    pairs = zip(model.coefs_, model.intercepts_, strict=True)
    layers = [(weights.astype(np.float32), offsets.astype(np.float32)) for weights, offsets in pairs]
    for name in names:
        WRITERS[name](layers, folder / name)


if __name__ == "__main__":
    target = Path(__file__).with_name("files")
    target.mkdir(exist_ok=True)
    write_all(target)
    print("wrote", *sorted(file.name for file in target.iterdir()), "to", target)
