"""Infinity, a server by itself, with its two engines: torch, and optimum, which runs the model as ONNX."""

import json
import shutil
from pathlib import Path

from bench import onnx
from bench.peers import answers
from bench.peers.peer import SIZES, Command, Peer, Setting

NO_BETTER = ("--no-bettertransformer",)


def _command(engine: str) -> Command:
    return lambda python, port, model, setting: _infinity(engine, python, port, model, setting)


def _infinity(engine: str, python: Path, port: int, model: str, setting: Setting) -> list[str]:
    options = {
        "model-id": model,
        "served-model-name": "minilm",
        "engine": engine,
        "device": "cpu",
        "dtype": "float32",
        "batch-size": setting.size,
        "host": "127.0.0.1",
        "port": port,
    }
    if engine == "optimum":
        options["pooling-method"] = "mean"  # this engine does not read the model's own setting
    given = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    return [str(python.parent / "infinity_emb"), "v2", *given, *setting.options]


def for_infinity(model: Path, folder: Path) -> Path:
    """Creates a copy of the model that truncates texts at the same length as the other peers.

    sentence-transformers reads a limit of 256 tokens from its own file; the other peers do not.
    """
    copy = folder / "all-MiniLM-L6-v2"
    shutil.copytree(model, copy, copy_function=lambda source, target: Path(target).symlink_to(source))
    limits = copy / "sentence_bert_config.json"
    known = json.loads(limits.read_bytes())
    limits.unlink()  # a link to the package's file
    limits.write_text(json.dumps(known | {"max_seq_length": 512}), encoding="utf-8")
    return copy


def with_onnx(model: Path, folder: Path) -> Path:
    """Creates such a copy with the model's ONNX file. Raises BenchError."""
    copy = for_infinity(model, folder)
    (copy / "onnx").mkdir()
    (copy / "onnx" / "model.onnx").symlink_to(onnx.exported(model))
    return copy


INFINITY = (
    Peer(
        "infinity",
        shipped=Setting(32),
        tuned=(*SIZES, Setting(8, options=NO_BETTER), Setting(16, options=NO_BETTER)),
        command=_command("torch"),
        path="/embeddings",
        body=answers.openai,
        embedding=answers.openai_embedding,
        packages=("infinity_emb", "sentence-transformers", "optimum"),
        prepare=for_infinity,
    ),
    Peer(
        "infinity-onnx",
        shipped=Setting(32),
        tuned=SIZES,
        command=_command("optimum"),
        path="/embeddings",
        body=answers.openai,
        embedding=answers.openai_embedding,
        packages=("infinity_emb", "optimum", "onnxruntime"),
        prepare=with_onnx,
    ),
)
