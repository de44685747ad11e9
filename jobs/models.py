"""Reads `models.toml`, the served models. The API uses names and limits, the worker everything else."""

import contextlib
import difflib
import re
import tomllib
from collections.abc import Mapping
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    ValidationError,
    field_validator,
    model_validator,
)

from jobs import sentence_transformers, tasks
from jobs.errors import ConfigurationError, InvalidRequest, UnknownModel
from jobs.inputs import check_inputs, check_json

NAME = r"^[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?$"
"""Matches hub ids. Excludes characters with a meaning in Redis keys (colon, brace, asterisk), characters
except the slash that HTML or a URL must escape, and parts of dots only, which a path would resolve."""

Name = Annotated[str, Field(pattern=NAME, max_length=128)]

MAX_INPUTS = 10_000
"""Highest `max_inputs` that a model may have."""


class ModelSpec(BaseModel):
    """One model: `[models.NAME]` in `models.toml`. Either `task` or `pipeline` defines how it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Name
    description: str = ""
    task: str = tasks.CUSTOM
    pipeline: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    """`module:Class`: built once with `source` and `options`, called with a list of inputs."""
    options: dict[str, Any] = {}
    parameters: dict[str, Literal["string", "number", "integer", "boolean", "array", "object"]] = {}
    """For a custom pipeline: the parameters it accepts, name -> type."""
    aliases: list[Name] = []
    """Other names that a request may use; the job has the model's own name."""
    defaults: dict[str, Any] = {}
    """Parameters for each job that does not set them."""
    example: Any = None
    """Sample `inputs` of a request, shown to people and used for the model's first run; None if not set."""
    input: Literal["text", "json"] = "text"
    source: str | None = None
    """A local folder or file (relative to `models.toml`), or a hub id with a `revision`."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "int8", "auto"] = "float32"
    """`auto`: the fastest dtype whose answers agree with float32 on the held-out texts."""
    held_out: str | None = None
    """For `auto`: a file of texts to compare dtypes with, one per line (relative to `models.toml`)."""
    device: str | None = None
    """A torch device such as `cpu` or `cuda:0`; by default CUDA if available."""
    threads: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """Threads that compute one micro-batch; by default one per physical core of the engine."""
    trust_remote_code: bool = False
    max_inputs: Annotated[int, Field(ge=1, le=MAX_INPUTS)] = 1_000
    """Most inputs in one job."""
    max_input_chars: Annotated[int, Field(ge=1)] = Field(
        default_factory=lambda valid: _input(valid).max_chars
    )
    """Largest input, in the units of its kind: characters of texts or base64, or bytes of JSON."""
    max_batch_items: Annotated[int, Field(ge=1, le=4_096)] = Field(
        default_factory=lambda valid: 32 if valid.get("pipeline") else _input(valid).max_batch_items
    )
    """Most items in one micro-batch. Lower by default for a custom class: its cost does not bound a batch."""
    token_budget: Annotated[int, Field(ge=1)] | None = None
    """Cost at which a micro-batch is full, in tokens including padding; for JSON inputs, in items.

    None: the engine measures it by timing a few shapes at its first start.
    """
    batch_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds after which a micro-batch is hung and its engine is killed; more if expected to be long."""
    load_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Most seconds that loading and warming up may take."""
    memory_limit: Annotated[int, Field(ge=1)] | None = None
    """Most MiB of private memory for the engine (on Linux); an input that needs more fails alone."""
    max_requests: Annotated[int, Field(ge=1)] | None = None
    """Inputs after which the engine is replaced, between two batches; reduced by up to a tenth at random."""
    max_resident: Annotated[int, Field(ge=1)] | None = None
    """MiB of resident memory above which the engine is replaced, between two batches (on Linux)."""

    _trained_defaults: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def trained_defaults(self) -> dict[str, Any]:
        """Defaults from the model's files, for display only: the engine reads them itself when it loads.

        Empty if the files are not on this machine.
        """
        return self._trained_defaults

    @property
    def shown_defaults(self) -> dict[str, Any]:
        """Parameters of a job that sets none, as far as they are known on this machine; for display only."""
        return {**self.trained_defaults, **self.defaults}

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        if task == tasks.CUSTOM:
            return task
        if known := tasks.find(task):
            return known.name
        names = [name for each in tasks.TASKS.values() for name in (each.name, *each.aliases)]
        suggestion = tasks.SUGGESTIONS.get(task.lower()) or _closest(task, names)
        raise ValueError(
            f"unknown task {task!r}; "
            + (f"did you mean {suggestion!r}? " if suggestion else "")
            + f"known: {', '.join(names)}; for anything else, write a class and give "
            'pipeline = "module:Class" instead (docs/custom-pipelines.md)'
        )

    @model_validator(mode="after")
    def _one_way_to_run(self) -> "ModelSpec":
        if (self.task == tasks.CUSTOM) != (self.pipeline is not None):
            raise ValueError('give either task = "..." or pipeline = "module:Class"')
        if invalid := [name for name in self.parameters if not name.isidentifier() or iskeyword(name)]:
            raise ValueError(f"a parameter's name must be a Python identifier, which {invalid[0]!r} is not")
        if self.pipeline is None:
            if self.source is None:
                raise ValueError("a task needs a source: a local folder or a hub id with a revision")
            if self.parameters or self.options or self.input != "text":
                raise ValueError("options, parameters and input are allowed only with pipeline")
        elif self.dtype in ("int8", "auto"):
            raise ValueError(
                f'dtype = "{self.dtype}" is allowed only with task; a custom pipeline sets its own dtype'
            )
        kind = self.definition.input
        if self.max_input_chars < kind.least_chars:
            raise ValueError(f"max_input_chars must be at least {kind.least_chars} for {self.task}")
        if self.dtype == "auto" and not kind.has_texts:
            raise ValueError(f'dtype = "auto" compares answers to texts, which {self.task} does not accept')
        if self.held_out is not None and self.dtype != "auto":
            raise ValueError('held_out is allowed only with dtype = "auto"')
        return self

    @model_validator(mode="after")
    def _as_a_job_may_have_them(self) -> "ModelSpec":
        try:
            check_json(self.defaults, "defaults")
            tasks.validate(self.defaults, tasks.without_required(self.parameter_type), "defaults")
            if self.example is not None:
                check_json(self.example, "example")
                check_inputs(self.example, self)
        except InvalidRequest as error:
            raise ValueError(re.sub("^inputs", "example", str(error))) from None
        return self

    @cached_property
    def definition(self) -> tasks.Task:
        """The definition of the model's task."""
        if self.pipeline is not None:
            return tasks.custom_task(self.input, dict(self.parameters))
        return tasks.TASKS[self.task]

    @property
    def parameter_type(self) -> type[tasks.Parameters]:
        """The type of the parameters that a job for this model may have."""
        return self.definition.parameters

    def effective(self, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the given parameters merged with the model's defaults. Raises InvalidRequest."""
        return tasks.validate({**self.defaults, **given} if self.defaults else given, self.parameter_type)


def _input(valid: Mapping[str, Any]) -> tasks.Input:
    """Returns the kind of input of a model, from the keys that were validated so far."""
    task = tasks.TASKS.get(valid.get("task", ""))
    return (task or tasks.custom_task(valid.get("input", "text"), {})).input


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
            if spec.task == "feature-extraction" and (folder := catalog.local_source(spec)):
                spec.trained_defaults.update(sentence_transformers.read(folder, spec.defaults).defaults)
    return catalog


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
    if suggestion := _closest(key, known):
        return f"unknown key {key}; did you mean {suggestion}?"
    if isinstance(table[key], dict):  # TOML reads [models.bge-v1.5] as nested tables
        return f'unknown key {key}; a name with a dot needs quotes, as in [models."{name}.{key}"]'
    return f"unknown key {key}; known: {', '.join(known)}"


def _closest(word: str, known: list[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, known, 1)), None)
