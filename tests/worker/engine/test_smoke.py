"""A model is run once when it is loaded: what would fail in each job is why it cannot be loaded."""

from pathlib import Path
from typing import Any

import pytest

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from tests.worker.engine.pipelines import tiny
from worker.engine import loading

OWN = "tests.worker.engine.smoked:"


def own(name: str, **fields: Any) -> ModelSpec:
    return ModelSpec.model_validate({"name": "mine", "pipeline": OWN + name} | fields)


@pytest.mark.parametrize(
    ("spec", "reason"),
    [
        (
            own("NeedsPackage"),
            "a first run of its samples failed with ModuleNotFoundError: No module named 'absent_",
        ),
        (own("Raises", example="a text"), "a first run of its example failed with KeyError: 'weights'"),
        (own("NotJson", example="a text"), "a first run of its example failed with ValueError: .*NaN"),
        (
            own("", pipeline="tests.worker.pictures:Undeclared", input="image"),
            "a class that returns files must have the attribute writes_files = True",
        ),
        (own("TooFew", example=["a", "b"]), "ValueError: .*TooFew returned 1 outputs for 2 inputs"),
        (
            own("Upper", example="a", parameters={"size": "integer"}, defaults={"size": 3}),
            "TypeError: .*unexpected keyword argument 'size'",
        ),
    ],
)
def test_what_a_class_raises_is_the_reason(tmp_path: Path, spec: ModelSpec, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"^model 'mine': .*{reason}") as refused:
        loading.load(spec, None, tmp_path)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", ["Raises", "NotJson", "TooFew"])
def test_a_class_without_samples_and_example_is_not_run(tmp_path: Path, name: str) -> None:
    loading.load(own(name), None, tmp_path)


def test_the_example_is_run_with_the_defaults(tmp_path: Path) -> None:
    record = tmp_path / "record"
    spec = own(
        "Recorded",
        options={"record": str(record)},
        parameters={"size": "integer"},
        defaults={"size": 3},
        example=["our", "own"],
        max_batch_items=1,
    )
    loading.load(spec, None, tmp_path)
    assert record.read_text().splitlines()[0] == "['our', 'own'] 3"


@pytest.mark.parametrize(
    ("task", "fields", "reason"),
    [
        ("fill-mask", {"example": "no mask in it"}, r"InvalidRequest: the text has no \[MASK\]"),
        (
            "fill-mask",
            {"defaults": {"top_k": 999}},
            "a first run of its samples failed with InvalidRequest: top_k exceeds",
        ),
        (
            "feature-extraction",
            {"example": ["good", ""]},
            "a first run of its example failed.*: the text is empty",
        ),
    ],
)
def test_a_task_s_example_and_defaults_are_tried(
    tmp_path: Path, task: str, fields: dict[str, Any], reason: str
) -> None:
    folder = tmp_path / "model"
    tiny.BUILDERS[task](folder)
    spec = ModelSpec(name="mine", task=task, source=str(folder), device="cpu", threads=1, **fields)
    with pytest.raises(ConfigurationError, match=f"^model 'mine': .*{reason}"):
        loading.load(spec, folder, tmp_path / "cache")
