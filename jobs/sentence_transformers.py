"""Reads from the JSON files of a sentence-transformers model how it computes its vectors.

`modules.json` lists the steps: a transformer, a pooling, often a normalization. Source of the formats:
sentence-transformers 6.2, `base/model.py` and the modules' `config_keys`. Does not import torch: the engine
reads the files to compute the same vectors, the API to show the model's parameters.
"""

from collections.abc import Container
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

TASKS = frozenset({"feature-extraction", "sentence-similarity"})
"""The tasks that make such vectors."""

MODULES = "modules.json"
PROMPTS = "config_sentence_transformers.json"
TRANSFORMER = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
"""Possible names of the transformer's settings file; the first is the current one."""

POOLINGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Settings of older files -> the mode that each enables. Newer files have `pooling_mode`."""


class Unsupported(Exception):
    """The files require a feature that is not supported; the text names the file and the setting."""


@dataclass(frozen=True)
class Trained:
    """Settings from the files; all defaults for a model without such files."""

    defaults: dict[str, Any] = field(default_factory=dict)
    """Parameters of feature-extraction."""
    max_length: int | None = None
    """Tokens after which a text is truncated."""
    prompt: str = ""
    """Prefix added to each text."""
    lower_case: bool = False


class _Module(msgspec.Struct):
    type: str
    path: str = ""

    @property
    def kind(self) -> str:
        """The class's name without its module, which differs between versions."""
        return self.type.rpartition(".")[2]

    @property
    def config(self) -> str:
        return f"{self.path}/config.json" if self.path else "config.json"


def names(folder: Path) -> list[str]:
    """Returns the names of the files to read; more once `modules.json` is in the folder.

    Raises Unsupported.
    """
    modules = _read(folder, MODULES, list[_Module]) or []
    return [MODULES, PROMPTS, *TRANSFORMER, *(one.config for one in modules if one.kind == "Pooling")]


def read(folder: Path, given: Container[str] = ()) -> Trained:
    """Reads the settings from the folder's files.

    Raises Unsupported, also for a file that cannot be read. An unsupported step is ignored if the models
    file's `given` parameters contain `pooling`, because they take precedence.
    """
    modules = _read(folder, MODULES, list[_Module])
    if modules is None:
        return Trained()
    prompt = _prompt(folder)
    transformer = next(filter(None, (_read(folder, name, dict[str, Any]) for name in TRANSFORMER)), {})
    max_length = transformer.get("max_seq_length")
    try:
        defaults = _steps(folder, modules, prompt)
    except Unsupported:
        if "pooling" not in given:
            raise
        defaults = {}
    return Trained(
        defaults,
        max_length if isinstance(max_length, int) and max_length > 0 else None,
        prompt,
        transformer.get("do_lower_case") is True,
    )


def _steps(folder: Path, modules: list[_Module], prompt: str) -> dict[str, Any]:
    """Returns the parameters equivalent to the modules after the transformer."""
    defaults: dict[str, Any] = {}
    for number, module in enumerate(modules):
        match module.kind:
            case "Transformer" if number == 0 and not module.path:
                continue
            case "Pooling" if number == 1:
                defaults["pooling"] = _pooling(folder, module, prompt)
                continue
            case "Normalize" if number > 1:
                defaults["normalize"] = True
                continue
            case "Dropout":  # no effect outside training
                continue
        where = f" in {module.path}" if module.path else ""
        raise Unsupported(f"{MODULES}: the step {module.kind}{where} is not supported")
    if "pooling" not in defaults:
        raise Unsupported(f"{MODULES}: the step Pooling is missing")
    return defaults


def _pooling(folder: Path, module: _Module, prompt: str) -> str:
    config = _read(folder, module.config, dict[str, Any])
    if config is None:
        raise Unsupported(f"{module.config} does not exist")
    modes = config.get("pooling_mode") or [mode for name, mode in POOLINGS.items() if config.get(name)]
    modes = [modes] if isinstance(modes, str) else modes or ["mean"]
    if len(modes) > 1:
        raise Unsupported(f"{module.config}: several poolings at once ({', '.join(modes)}) are not supported")
    if modes[0] not in POOLINGS.values():
        raise Unsupported(f"{module.config}: pooling_mode {modes[0]!r} is not supported")
    if prompt and config.get("include_prompt") is False:
        raise Unsupported(f"{module.config}: include_prompt = false is not supported")
    return str(modes[0])


def _prompt(folder: Path) -> str:
    config = _read(folder, PROMPTS, dict[str, Any]) or {}
    name, prompts = config.get("default_prompt_name"), config.get("prompts")
    return str(prompts.get(name, "")) if name and isinstance(prompts, dict) else ""


def _read(folder: Path, name: str, kind: type[T]) -> T | None:
    """Returns the decoded file, or None if it does not exist."""
    try:
        return msgspec.json.decode((folder / name).read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:  # msgspec's errors are ValueErrors
        raise Unsupported(f"{name} cannot be read: {error}") from None
