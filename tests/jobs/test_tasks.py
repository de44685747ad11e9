"""Each registered task is whole: docs/adding-a-task.md says of what it consists."""

import inspect
import subprocess
import sys
from collections import Counter
from pathlib import Path

import msgspec
import pytest

from api.v1.model_schemas import example
from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import JobRequest, validate_request
from jobs.tasks import TASKS, Task
from jobs.tasks.parameters import validate
from worker.engine.pipelines import ComparablePipeline, pipeline_class

ROOT = Path(__file__).parents[2]
LINES = (ROOT / "docs" / "tasks.md").read_text(encoding="utf-8").splitlines()

each_task = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS)


@each_task
def test_it_has_an_engine_class(task: Task) -> None:
    found = pipeline_class(task)
    assert inspect.isclass(found)
    assert not inspect.isabstract(found)
    assert list(inspect.signature(found.open).parameters) == ["spec", "source"]
    assert all(callable(getattr(found, step)) for step in ("prepare", "compute", "answer", "warm_up"))
    if task.input.has_texts:  # dtype = "auto" is allowed
        assert issubclass(found, ComparablePipeline)
        assert found.compared is not ComparablePipeline.compared


@each_task
def test_its_example_is_accepted(task: Task) -> None:
    spec = ModelSpec(name="m", task=task.name, source="here")
    for given in (task.example, example(spec)):
        job = validate_request(msgspec.convert(given, JobRequest), spec)
        assert task.passes(job.parameters) >= 1
        inputs = job.inputs if isinstance(job.inputs, list) else [job.inputs]
        assert all(bool(task.input.texts(each)) == task.input.has_texts for each in inputs)


@each_task
def test_it_has_a_row_in_the_documentation(task: Task) -> None:
    [row] = [line for line in LINES if line.startswith(f"| {task.name} |")]
    assert task.help in row
    assert all(f"`{parameter}`" in row for parameter in task.parameters.__struct_fields__)
    assert all(f"`{alias}`" in row for alias in task.aliases)


def test_every_name_is_of_one_task() -> None:
    names = Counter(name for task in TASKS.values() for name in (task.name, *task.aliases))
    assert max(names.values()) == 1
    assert tasks.CUSTOM not in names
    for task in TASKS.values():
        for name in (task.name, *task.aliases):
            assert tasks.find(name) is task
            assert ModelSpec(name="m", task=name, source="here").task == task.name
    assert tasks.find("nix") is None


def test_the_registry_imports_no_model_library() -> None:
    code = "import sys, jobs.tasks; print({'torch', 'transformers', 'PIL'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize("task", ["text-generation", "summarization", "text-to-audio", "image-text-to-text"])
def test_a_temperature_divides_to_finite_numbers(task: str) -> None:
    allowed = TASKS[task].parameters
    assert validate({"temperature": 0.0001}, allowed)
    with pytest.raises(InvalidRequest, match=r"/?parameters/temperature: give a number from 0\.0001 to 100"):
        validate({"temperature": 1e-40}, allowed)
