"""`models.toml`: the models that are served, read by the API (names, limits) and the worker (the rest)."""

import difflib
import tomllib
from functools import cached_property
from keyword import iskeyword
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from jobs import tasks
from jobs.errors import ConfigurationError, UnknownModel

NAME = r"^[a-z0-9][a-z0-9._-]{0,62}$"


class ModelSpec(BaseModel):
    """One model: `[models.NAME]` in `models.toml`. Either `task` or `pipeline` says how it is run."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: Annotated[str, Field(pattern=NAME)]
    description: str = ""
    task: str = tasks.CUSTOM
    pipeline: Annotated[str, Field(pattern=r"^[\w.]+:\w+$")] | None = None
    """`module:Class`: built once with `source` and `options`, called with a list of inputs."""
    options: dict[str, Any] = {}
    parameters: dict[str, Literal["string", "number", "integer", "boolean", "array", "object"]] = {}
    """For a custom pipeline: the parameters it takes, name -> type."""
    input: Literal["text", "json"] = "text"
    source: str | None = None
    """A local folder or file (relative to `models.toml`), or a hub id with a `revision`."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "int8", "auto"] = "float32"
    """`auto` is the fastest whose answers agree with float32 on the held-out texts."""
    held_out: str | None = None
    """For `auto`: a file of texts to judge by, one in each line (relative to `models.toml`)."""
    device: str | None = None
    """A torch device such as `cpu` or `cuda:0`; by default CUDA when there is one."""
    threads: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """Threads that compute one micro-batch; by default one for each physical core that the engine has."""
    trust_remote_code: bool = False
    max_inputs: Annotated[int, Field(ge=1, le=10_000)] = 1_000
    """Inputs in one job."""
    max_input_chars: Annotated[int, Field(ge=1)] = 100_000
    """Characters of one text, or bytes of one JSON input."""
    max_batch_items: Annotated[int, Field(ge=1, le=4_096)] = Field(
        default_factory=lambda told: 32 if told.get("pipeline") else 256
    )
    """Items in one micro-batch. A task's batches are bounded by their cost; of a class less is known."""
    token_budget: Annotated[int, Field(ge=1)] | None = None
    """Cost, padding and all, at which a micro-batch is full; in tokens, items for JSON inputs.

    None: the engine finds it, by timing a few shapes at its first start.
    """
    batch_timeout: Annotated[float, Field(gt=0)] = 60.0
    """Seconds after which a micro-batch counts as hung and its engine is killed; more where expected."""
    load_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Seconds that loading and warming up may take."""
    memory_limit: Annotated[int, Field(ge=1)] | None = None
    """MiB of private memory that the engine may take (on Linux); an input that needs more fails alone."""
    max_requests: Annotated[int, Field(ge=1)] | None = None
    """Inputs after which the engine is replaced, between two batches; up to a tenth less."""
    max_resident: Annotated[int, Field(ge=1)] | None = None
    """MiB of resident memory beyond which the engine is replaced, between two batches (on Linux)."""

    @field_validator("task")
    @classmethod
    def _known_task(cls, task: str) -> str:
        if task not in tasks.TASKS and task != tasks.CUSTOM:
            raise ValueError(f"unknown task {task!r}; known: {', '.join(tasks.TASKS)}")
        return task

    @model_validator(mode="after")
    def _one_way_to_run(self) -> "ModelSpec":
        if (self.task == tasks.CUSTOM) != (self.pipeline is not None):
            raise ValueError('give either task = "..." or pipeline = "module:Class"')
        if wrong := [name for name in self.parameters if not name.isidentifier() or iskeyword(name)]:
            raise ValueError(f"a parameter's name must be one in Python, which {wrong[0]!r} is not")
        if self.pipeline is None:
            if self.source is None:
                raise ValueError("a task needs a source: a local folder or a hub id with a revision")
            if self.parameters or self.options or self.input != "text":
                raise ValueError("options, parameters and input are for a pipeline of your own")
        elif self.dtype in ("int8", "auto"):
            raise ValueError(
                f'dtype = "{self.dtype}" is for a task; a pipeline of your own sees to its numbers'
            )
        if self.held_out is not None and self.dtype != "auto":
            raise ValueError('held_out is for dtype = "auto"')
        return self

    @cached_property
    def parameter_type(self) -> type[tasks.Parameters]:
        """The parameters that a job for this model may carry."""
        if self.pipeline is not None:
            return tasks.custom_parameters(dict(self.parameters))
        return tasks.TASKS[self.task]


class ModelCatalog:
    """The models of one `models.toml`, in its order; the first is the default."""

    def __init__(self, specs: list[ModelSpec], base: Path) -> None:
        self.specs = {spec.name: spec for spec in specs}
        self.base = base

    @property
    def default(self) -> ModelSpec:
        return next(iter(self.specs.values()))

    def __getitem__(self, name: str) -> ModelSpec:
        try:
            return self.specs[name]
        except KeyError:
            known = ", ".join(self.specs)
            raise UnknownModel(
                f"no model named {name!r} is served; known: {known}", pointer="/model"
            ) from None

    def local_source(self, spec: ModelSpec) -> Path | None:
        """The model's files on this machine, or None where `source` is a hub id or there is none.

        Raises ConfigurationError when it is neither.
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
    """Reads `models.toml`. Raises ConfigurationError, in one sentence, for anything wrong in it."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigurationError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{path} is not valid TOML: {error}") from None
    models = tables.get("models")
    if set(tables) != {"models"} or not isinstance(models, dict) or not models:
        raise ConfigurationError(f"{path} must hold one [models.NAME] table for each model, and nothing else")
    specs = []
    for name, table in models.items():
        try:
            spec = ModelSpec.model_validate({"name": name, **table})
        except (ValidationError, TypeError) as error:
            raise ConfigurationError(f"{path}: [models.{name}]: {_first_fault(error)}") from None
        if spec.held_out is not None:
            held_out = path.resolve().parent / Path(spec.held_out).expanduser()
            spec = spec.model_copy(update={"held_out": str(held_out)})
        specs.append(spec)
    return ModelCatalog(specs, path.resolve().parent)


def _first_fault(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "must be a table"
    fault = error.errors()[0]
    if fault["type"] == "extra_forbidden":
        return _unknown(str(fault["loc"][-1]))
    where = ".".join(str(part) for part in fault["loc"])
    return f"{where}: {fault['msg']}" if where else fault["msg"]


def _unknown(key: str) -> str:
    known = [name for name in ModelSpec.model_fields if name != "name"]
    meant = difflib.get_close_matches(key, known, 1)
    return f"unknown key {key}; " + (f"did you mean {meant[0]}?" if meant else f"known: {', '.join(known)}")
