"""Reads a Hugging Face checkpoint's files without torch: reports missing files and finds the task."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jobs import tasks
from jobs.errors import ConfigurationError

CONFIG = "config.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
CHAT_TEMPLATE = "chat_template.jinja"
MODULES = "modules.json"
"""The file that sentence-transformers adds to a model that returns sentence vectors."""

_HEADS = {
    head: [task.name for task in tasks.TASKS.values() if head in task.heads]
    for head in sorted({head for task in tasks.TASKS.values() for head in task.heads}, key=len, reverse=True)
}
"""End of an architecture's name -> the tasks it may be trained for, the longest end first. Every model has
features."""


GENERAL = "text2text-generation"
TEXT_TO_TEXT_TASKS = frozenset({"summarization", "translation", GENERAL})
TEXT_TO_TEXT = {
    **dict.fromkeys(("pegasus", "pegasus_x", "bigbird_pegasus"), "summarization"),
    **dict.fromkeys(("marian", "m2m_100", "nllb-moe", "fsmt"), "translation"),
    **dict.fromkeys(("seamless_m4t", "seamless_m4t_v2"), "translation"),
    **dict.fromkeys(("t5", "mt5", "umt5", "longt5", "switch_transformers", "t5gemma", "encoder-decoder"), ""),
    **dict.fromkeys(("bart", "mbart", "plbart", "led", "mvp", "prophetnet"), ""),
    **dict.fromkeys(("blenderbot", "blenderbot-small"), GENERAL),
}
"""Types of models with an encoder and a decoder for texts -> their task; empty if it depends on the model."""


def fault(folder: Path) -> str | None:
    """Returns why no model can be loaded from the folder, as a clause that begins with its name, or None."""
    if not folder.is_dir():
        return f"{folder} is not a folder with a model's files"
    if not (folder / CONFIG).is_file():
        return f"{folder} has no {CONFIG}"
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(folder.glob("*.bin"))
        hint = f"; {pickled[0].name} is pickle, which is never loaded" if pickled else ""
        return f"{folder} has no .safetensors file{hint}"
    return None


def read_config(path: Path) -> dict[str, Any]:
    """Returns the contents of a `config.json`. Raises ConfigurationError if it is invalid."""
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise ConfigurationError(f"{path} is not valid JSON: {error}") from None
    if not isinstance(config, dict):
        raise ConfigurationError(f"{path} must contain a JSON object")
    return config


def task_of(config: Mapping[str, Any], *, sentence_vectors: bool) -> str:
    """Returns a checkpoint's task, from its config.json and whether it has a modules.json.

    Raises ConfigurationError, without the checkpoint's name, if the task is unknown or not supported.
    """
    architecture = _architecture(config)
    if sentence_vectors and not architecture.endswith("ForSequenceClassification"):
        return "feature-extraction"
    if not architecture:
        raise ConfigurationError(f"its {CONFIG} names no architecture, so its task is unknown")
    candidates = next((candidates for head, candidates in _HEADS.items() if architecture.endswith(head)), ())
    if "text2text-generation" in candidates:
        task = _text_to_text(config, candidates)
    elif len(candidates) > 1:
        task = _classification(config) if "text-classification" in candidates else ""
        if not task:
            names = f"{', '.join(candidates[:-1])} or {candidates[-1]}"
            raise ConfigurationError(f"it is a {architecture}, which may be for {names}")
    elif candidates:
        [task] = candidates
    else:
        task = _features(config) if architecture.endswith("Model") else ""
    if task not in tasks.TASKS:
        raise ConfigurationError(f"it is a {architecture}, which no task supports")
    return task


def mismatch(config: Mapping[str, Any], task: str) -> str | None:
    """Returns why a checkpoint does not fit this task, from its config.json; None if unknown or it fits."""
    heads = [head for head, trained in _HEADS.items() if task in trained]
    architecture = _architecture(config)
    if not heads or not architecture or architecture.endswith(tuple(heads)):
        return None
    return f"it was not trained for {task}: it is a {architecture}"


def lacking(folder: Path, task: tasks.Task) -> frozenset[str]:
    """Returns the task's parameters that the checkpoint in the folder does not have.

    Raises ConfigurationError if its config.json cannot be read.
    """
    architecture = _architecture(read_config(folder / CONFIG)) if task.lacking else ""
    fits = (names for end, names in task.lacking.items() if architecture and architecture.endswith(end))
    return frozenset(next(fits, ()))


def has_chat_template(folder: Path) -> bool:
    """Returns whether the tokenizer in the folder makes prompts of chats.

    Raises ConfigurationError if its tokenizer_config.json cannot be read.
    """
    if (folder / CHAT_TEMPLATE).exists():
        return True
    file = folder / TOKENIZER_CONFIG
    return file.exists() and "chat_template" in read_config(file)


def _architecture(config: Mapping[str, Any]) -> str:
    match config.get("architectures"):
        case [str(first), *_]:
            return first
        case _:
            return ""


def _text_to_text(config: Mapping[str, Any], candidates: Sequence[str]) -> str:
    """Returns the task of a model with an encoder and a decoder; `text2text-generation` if it has several."""
    kind = config.get("model_type")
    if kind not in TEXT_TO_TEXT:  # it reads something else, such as images
        others = [task for task in candidates if task not in TEXT_TO_TEXT_TASKS]
        return others[0] if len(others) == 1 else ""
    if task := TEXT_TO_TEXT[kind]:
        return task
    settings = config.get("task_specific_params")
    tasks_named = {str(name).partition("_")[0] for name in settings} if isinstance(settings, dict) else set()
    return tasks_named.pop() if len(tasks_named) == 1 and tasks_named < TEXT_TO_TEXT_TASKS else GENERAL


def _features(config: Mapping[str, Any]) -> str:
    """Returns the task of a model without a head, by what it reads."""
    sees = "num_channels" in config and "vocab_size" not in config
    return "image-feature-extraction" if sees else "feature-extraction"


def _classification(config: Mapping[str, Any]) -> str:
    """Returns a sequence classifier's task: classify texts, score the client's labels, or rank documents."""
    labels = config.get("id2label")
    names = [str(name).lower() for name in labels.values()] if isinstance(labels, dict) else []
    if any(name.startswith("entail") for name in names):
        return "zero-shot-classification"
    if len(names) != 1:
        return "text-classification"
    if "sentence_transformers" in config:  # written by its cross-encoders
        return "text-ranking"
    raise ConfigurationError(
        "it has one label, which may be the score of a text (text-classification) or of a pair (text-ranking)"
    )
