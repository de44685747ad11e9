"""ModelSpec: one entry of `models.toml`. The API uses names and limits, the worker everything else."""

import difflib
import re
from collections.abc import Mapping
from functools import cached_property
from keyword import iskeyword
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, field_validator, model_validator

from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.inputs import check_inputs, check_json
from jobs.tasks.inputs import InputLimits

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
    input: Literal["text", "json", "image", "audio"] = "text"
    """For a custom pipeline: the kind of its inputs."""
    source: str | None = None
    """A local folder or file (relative to `models.toml`), or a hub id with a `revision`."""
    revision: str | None = None
    dtype: Literal["float32", "bfloat16", "float16", "int8", "auto"] = "float32"
    """`auto`: the fastest dtype whose answers agree with float32 on the held-out texts."""
    backend: Literal["auto", "torch", "onnxruntime"] = "auto"
    """The library that computes it. `auto`: the faster one if the extra `onnx` is installed, else torch."""
    held_out: str | None = None
    """For `auto`: a file of texts to compare dtypes with, one per line (relative to `models.toml`)."""
    device: str | None = None
    """A torch device such as `cpu` or `cuda:0`; by default CUDA if available."""
    threads: Annotated[int, Field(ge=1, le=1_024)] | None = None
    """Threads that compute one micro-batch; by default one per physical core of the engine."""
    trust_remote_code: bool = False
    dimensions: list[Annotated[int, Field(ge=1)]] = []
    """For feature-extraction: the lengths to which its vectors may be shortened, as it was trained for."""
    flagged_labels: list[str] | None = None
    """For text-classification: the labels that flag a text in `POST /v1/moderations`."""
    max_inputs: Annotated[int, Field(ge=1, le=MAX_INPUTS)] = Field(
        default_factory=lambda valid: _task(valid).max_inputs
    )
    """Most inputs in one job."""
    max_input_chars: Annotated[int, Field(ge=1)] = Field(
        default_factory=lambda valid: _input(valid).max_chars
    )
    """Most characters of an input's texts, or bytes of its JSON."""
    max_input_bytes: Annotated[int, Field(ge=1)] | None = None
    """Most bytes of a medium as it was sent; by default the kind's. None for a model without media."""
    max_pixels: Annotated[int, Field(ge=1)] = 50_000_000
    """Most pixels of an image, or of one frame of a video."""
    max_frames: Annotated[int, Field(ge=1)] = 10_000
    """Most frames of a video or an animated image."""
    max_seconds: Annotated[float, Field(gt=0)] = 3_600.0
    """Longest sound or video."""
    max_sample_rate: Annotated[int, Field(ge=1)] = 384_000
    """Highest sample rate of a sound, in Hz."""
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
    prefix_cache: bool = True
    """Whether text generation computes once what prompts begin with, if several begin with the same."""
    load_timeout: Annotated[float, Field(gt=0)] = 600.0
    """Most seconds that loading and warming up may take."""
    memory_limit: Annotated[int, Field(ge=1)] | None = None
    """Most MiB of private memory for the engine (on Linux); an input that needs more fails alone."""
    max_requests: Annotated[int, Field(ge=1)] | None = None
    """Inputs after which the engine is replaced, between two batches; reduced by up to a tenth at random."""
    max_resident: Annotated[int, Field(ge=1)] | None = None
    """MiB of resident memory above which the engine is replaced, between two batches (on Linux)."""

    _trained_defaults: dict[str, Any] = PrivateAttr(default_factory=dict)

    _lacking: set[str] = PrivateAttr(default_factory=set)

    @property
    def lacking(self) -> set[str]:
        """The task's parameters that this model does not have, for display only: the engine refuses them.

        "messages" if it takes no chats. Empty if the files are not on this machine.
        """
        return self._lacking

    @property
    def takes_chats(self) -> bool:
        """Whether inputs may be chats, as far as the files are known here; for display only."""
        return self.task == "text-generation" and "messages" not in self.lacking

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
        suggestion = tasks.SUGGESTIONS.get(task.lower()) or closest(task, names)
        raise ValueError(
            f"unknown task {task!r}; "
            + (f"did you mean {suggestion!r}? " if suggestion else "")
            + f"known: {', '.join(names)}; for anything else, write a class and give "
            'pipeline = "module:Class" instead (docs/custom-pipelines.md)'
        )

    @model_validator(mode="before")
    @classmethod
    def _languages_in_the_task(cls, given: Any) -> Any:
        """`translation_en_to_fr` is `translation` with these languages as defaults."""
        if isinstance(given, dict) and (languages := tasks.languages(given.get("task"))):
            defaults = given.get("defaults", {})
            if isinstance(defaults, dict):
                return {**given, "task": "translation", "defaults": {**languages, **defaults}}
        return given

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
        if self.backend == "onnxruntime":
            if not self.definition.onnx:
                known = ", ".join(name for name, task in tasks.TASKS.items() if task.onnx)
                what = "a pipeline" if self.pipeline is not None else self.task
                raise ValueError(f'backend = "onnxruntime" is allowed only for {known}, not for {what}')
            if self.dtype not in ("float32", "auto"):
                raise ValueError(f'backend = "onnxruntime" computes in float32, not in {self.dtype}')
        for key, task in (("dimensions", "feature-extraction"), ("flagged_labels", "text-classification")):
            if getattr(self, key) and self.task != task:
                raise ValueError(f"{key} is allowed only for {task}")
        kind = self.definition.input
        if self.max_input_bytes is not None and not kind.has_media:
            raise ValueError("max_input_bytes limits media, which this model does not accept")
        if self.dtype == "auto" and not kind.has_texts:
            if not self.definition.judged_by_media:
                raise ValueError(f'dtype = "auto" cannot compare the answers of {self.task}')
            if self.held_out is None:
                raise ValueError(
                    f'dtype = "auto" of {self.task} needs held_out, a folder with media of your own'
                )
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

    @cached_property
    def limits(self) -> InputLimits:
        """The largest input that the model accepts."""
        return InputLimits(
            max_input_chars=self.max_input_chars,
            max_input_bytes=self.max_input_bytes or self.definition.input.max_bytes,
            max_pixels=self.max_pixels,
            max_frames=self.max_frames,
            max_seconds=self.max_seconds,
            max_sample_rate=self.max_sample_rate,
        )

    @property
    def parameter_type(self) -> type[tasks.Parameters]:
        """The type of the parameters that a job for this model may have."""
        return self.definition.parameters

    def effective(self, given: dict[str, Any]) -> dict[str, Any]:
        """Returns the given parameters merged with the model's defaults. Raises InvalidRequest."""
        valid = tasks.validate({**self.defaults, **given} if self.defaults else given, self.parameter_type)
        if "dimensions" in valid and self.pipeline is None:
            self._check_dimensions(valid["dimensions"])
        return valid

    def _check_dimensions(self, wanted: int) -> None:
        if wanted not in self.dimensions:
            offered = f"can have {' or '.join(map(str, self.dimensions))} numbers"
            raise InvalidRequest(
                f"parameters/dimensions: a vector of model {self.name}"
                f" {offered if self.dimensions else 'cannot be shortened'} (dimensions in models.toml)",
                pointer="/parameters/dimensions",
            )


def _task(valid: Mapping[str, Any]) -> tasks.Task:
    """Returns the task of a model, from the keys that were validated so far."""
    return tasks.TASKS.get(valid.get("task", "")) or tasks.custom_task(valid.get("input", "text"), {})


def _input(valid: Mapping[str, Any]) -> tasks.Input:
    return _task(valid).input


def closest(word: str, known: list[str]) -> str | None:
    """Returns the known word that is most similar, if one is."""
    return next(iter(difflib.get_close_matches(word, known, 1)), None)
