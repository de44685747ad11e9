"""A custom pipeline: any class that takes a list of inputs and returns a list of outputs."""

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Self

from jobs.errors import ConfigurationError
from jobs.inputs import admit_inputs
from jobs.models import ModelSpec
from jobs.process.programs import find_modules_in_current_folder
from worker.engine.pipelines.continuous import Progress, Row
from worker.engine.pipelines.encoding import NotJson, plain
from worker.engine.pipelines.interface import LoadedPipeline, PipelineInfo, Prepared

ROW_METHODS = ("row", "fits", "join", "step", "leave", "output")
"""The methods of a class that batches continuously: those of ContinuousPipeline."""


class CustomPipeline(LoadedPipeline):
    """An instance of `spec.pipeline`, `module:Class`, created once and called with every batch.

    It is a ContinuousPipeline too if the class has its methods and `slots`.
    """

    def __init__(self, spec: ModelSpec, source: Path | None) -> None:
        self._name = spec.pipeline
        self._example = admit_inputs(spec.example, spec)[0] if spec.example is not None else None
        self._defaults = spec.defaults
        build = _find(spec)
        try:
            self._instance = build(source=source, **spec.options)
        except Exception as error:
            raise ConfigurationError(
                f"model {spec.name!r}: building {spec.pipeline} failed with {type(error).__name__}: {error}"
            ) from error
        if not callable(self._instance):
            raise ConfigurationError(
                f"model {spec.name!r}: {spec.pipeline} cannot be called; it needs __call__(self, inputs, ...)"
            )
        self.writes_files = bool(getattr(self._instance, "writes_files", False))
        has_rows = all(callable(getattr(self._instance, name, None)) for name in ROW_METHODS)
        self.slots = int(getattr(self._instance, "slots", 0)) if has_rows else 0
        # the dtype is known only to the class
        self.info = PipelineInfo(
            spec.device or "cpu", dtype="", max_length=None, tokenizer_file=None, backend=""
        )

    @classmethod
    def open(cls, spec: ModelSpec, source: Path | None) -> Self:
        """See PipelineClass."""
        return cls(spec, source)

    def prepare(self, inputs: list[Any], parameters: dict[str, Any]) -> Prepared:
        """See LoadedPipeline. The inputs are passed on unchecked."""
        return Prepared((inputs, parameters))

    def compute(self, prepared: Prepared) -> list[Any]:
        """Calls the class; raises what it raises, and ValueError for a wrong number of outputs."""
        inputs, parameters = prepared.work
        outputs = self._instance(inputs, **parameters)
        outputs = outputs.tolist() if hasattr(outputs, "tolist") else outputs
        if not isinstance(outputs, list | tuple):
            raise ValueError(
                f"{self._name} must return a list with one output per input, not {type(outputs).__name__}"
            )
        if len(outputs) != len(inputs):
            raise ValueError(f"{self._name} returned {len(outputs)} outputs for {len(inputs)} inputs")
        return list(outputs)

    def answer(self, computed: list[Any]) -> list[Any]:
        """See LoadedPipeline."""
        return [_plain_if_possible(output) for output in computed]

    def row(self, one: Any, parameters: dict[str, Any]) -> Row:
        """See ContinuousPipeline."""
        return self._instance.row(one, parameters)

    def fits(self, row: Row) -> bool:
        """See ContinuousPipeline."""
        return bool(self._instance.fits(row))

    def join(self, rows: Sequence[Row]) -> None:
        """See ContinuousPipeline."""
        self._instance.join(rows)

    def step(self) -> list[Progress]:
        """See ContinuousPipeline."""
        return list(self._instance.step())

    def leave(self, row: Row) -> None:
        """See ContinuousPipeline."""
        self._instance.leave(row)

    def output(self, row: Row) -> Any:
        """See ContinuousPipeline."""
        return _plain_if_possible(self._instance.output(row))

    def warm_up(self) -> tuple[list[Any], dict[str, Any]] | None:
        """The class's `warm_up`, a list or tuple of inputs, or the model's `example`, if there is one."""
        inputs = getattr(self._instance, "warm_up", None)
        if not (isinstance(inputs, list | tuple) and inputs):
            inputs = self._example if isinstance(self._example, list) else [self._example]
            if self._example is None:
                return None
        return list(inputs), dict(self._defaults)


def _find(spec: ModelSpec) -> Callable[..., Any]:
    module_name, _, class_name = (spec.pipeline or "").partition(":")
    find_modules_in_current_folder()
    try:
        module = import_module(module_name)
    except Exception as error:
        raise ConfigurationError(
            f"model {spec.name!r}: importing {module_name} failed with {type(error).__name__}: {error}"
        ) from error
    found = getattr(module, class_name, None)
    if not isinstance(found, type):
        raise ConfigurationError(f"model {spec.name!r}: {module_name} has no class named {class_name}")
    return found


def _plain_if_possible(output: Any) -> Any:
    # An output that cannot be traversed, such as a list that contains itself, must not fail other outputs.
    try:
        return plain(output)
    except NotJson as error:
        return error
    except Exception as error:
        return NotJson(f"the output is not JSON: {error}")
