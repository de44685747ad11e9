"""ModelCatalog: the models that are served, as read from `models.toml`."""

import contextlib
import re
import time
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from jobs import checkpoints, sentence_transformers
from jobs.errors import ConfigurationError, UnknownModel
from jobs.models import ModelSpec, closest


class ModelCatalog:
    """The models of one `models.toml`, in file order; the first is the default."""

    def __init__(self, specs: list[ModelSpec], base: Path) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.base = base
        self._named = {name: spec for spec in specs for name in (spec.name, *spec.aliases)}

    @property
    def default(self) -> ModelSpec:
        if not self.specs:  # a catalog with the models of a key that are no longer served
            raise UnknownModel("no model that this API key may use is served", pointer="/model")
        return next(iter(self.specs.values()))

    def get(self, name: str) -> ModelSpec:
        """Returns the model with that name or alias; otherwise the default model."""
        return self._named.get(name, self.default)

    def __getitem__(self, name: str) -> ModelSpec:
        """Returns the model with that name or alias. Raises UnknownModel."""
        try:
            return self._named[name]
        except KeyError:
            known = ", ".join(self.specs)
            raise UnknownModel(
                f"no model named {name!r} is served; known: {known}", pointer="/model"
            ) from None

    def local_source(self, spec: ModelSpec) -> Path | None:
        """Returns the path of the model's files on this machine, or None if `source` is a hub id or not set.

        Raises ConfigurationError if `source` is neither a path nor a hub id.
        """
        if spec.source is None:
            return None
        path = (self.base / Path(spec.source).expanduser()).resolve()
        if path.exists():
            return path
        if spec.revision is not None and spec.pipeline is None:
            return None
        hint = "" if spec.pipeline else "; a model from the hub needs a revision = ..."
        raise ConfigurationError(f"model {spec.name!r}: {path} does not exist{hint}")


def load_catalog(path: Path) -> ModelCatalog:
    """Reads `models.toml`. Raises ConfigurationError with one sentence if it is invalid."""
    try:
        text = path.read_text(encoding="utf-8")
        tables = tomllib.loads(text)
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        slash = isinstance(error, tomllib.TOMLDecodeError) and _UNQUOTED_SLASH.search(text)
        hint = f'; a name with a slash needs quotes: [models."{slash[1]}"]' if slash else ""
        raise ConfigurationError(f"{path} is not valid TOML: {error}{hint}") from None
    models = tables.get("models")
    if set(tables) != {"models"} or not isinstance(models, dict) or not models:
        raise ConfigurationError(f"{path} must contain only [models.NAME] tables, one for each model")
    specs = []
    for name, table in models.items():
        try:
            spec = ModelSpec.model_validate({"name": name, **table})
        except (ValidationError, TypeError) as error:
            raise ConfigurationError(f"{path}: [models.{name}]: {_first_fault(error, name, table)}") from None
        if spec.held_out is not None:
            held_out = path.resolve().parent / Path(spec.held_out).expanduser()
            spec = spec.model_copy(update={"held_out": str(held_out)})
        specs.append(spec)
    _check_names(path, specs)
    catalog = ModelCatalog(specs, path.resolve().parent)
    for spec in specs:
        with contextlib.suppress(
            ConfigurationError, sentence_transformers.Unsupported
        ):  # the worker reports it
            _read_files(catalog, spec)
    return catalog


def _read_files(catalog: ModelCatalog, spec: ModelSpec) -> None:
    """Notes what the model's files show, if they are on this machine."""
    folder = catalog.local_source(spec)
    if folder is None:
        return
    spec.lacking.update(checkpoints.lacking(folder, spec.definition))
    if spec.task == "text-generation" and not checkpoints.has_chat_template(folder):
        spec.lacking.add("messages")
    if spec.task in sentence_transformers.TASKS:
        trained, known = sentence_transformers.read(folder, spec.defaults).defaults, spec.parameter_type
        spec.trained_defaults.update(
            {name: trained[name] for name in known.__struct_fields__ if name in trained}
        )


@cache
def modified(models_file: Path) -> int:
    """Returns the file's modification time in Unix seconds, or now if it is gone. Read once."""
    try:
        return int(models_file.stat().st_mtime)
    except OSError:
        return int(time.time())


_UNQUOTED_SLASH = re.compile(r"^\s*\[models\.([\w.-]+/[\w./-]+)\]", re.MULTILINE)


def _check_names(path: Path, specs: list[ModelSpec]) -> None:
    """Raises ConfigurationError if a name or alias is used by more than one model."""
    used = {spec.name: f"the name of [models.{spec.name}]" for spec in specs}
    for spec in specs:
        for alias in spec.aliases:
            if alias in used:
                raise ConfigurationError(
                    f"{path}: [models.{spec.name}]: aliases: {alias!r} is already {used[alias]}"
                )
            used[alias] = f"an alias of [models.{spec.name}]"


def _first_fault(error: Exception, name: str, table: Any) -> str:
    if not isinstance(error, ValidationError):
        return "must be a table"
    fault = error.errors()[0]
    if fault["type"] == "extra_forbidden":
        return _unknown(str(fault["loc"][-1]), name, table)
    where = ".".join(str(part) for part in fault["loc"])
    what = fault["msg"].removeprefix("Value error, ")
    return f"{where}: {what}" if where else what


def _unknown(key: str, name: str, table: dict[str, Any]) -> str:
    known = [field for field in ModelSpec.model_fields if field != "name"]
    if suggestion := closest(key, known):
        return f"unknown key {key}; did you mean {suggestion}?"
    if isinstance(table[key], dict):  # TOML reads [models.bge-v1.5] as nested tables
        return f'unknown key {key}; a name with a dot needs quotes, as in [models."{name}.{key}"]'
    return f"unknown key {key}; known: {', '.join(known)}"
