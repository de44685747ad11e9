"""A class of the operator's own is built once, called with batches, and held to its word."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from jobs.errors import ConfigurationError
from jobs.media.encoded import decode
from jobs.models import ModelSpec
from jobs.tasks.examples import LANDSCAPE, TONE
from worker.engine import pipelines


def own(name: str, **options: Any) -> pipelines.LoadedPipeline:
    path = name if ":" in name else f"tests.worker.engine.pipelines.own:{name}"
    return pipelines.load(ModelSpec(name="mine", pipeline=path, options=options), None)


def test_options_build_it_and_parameters_call_it() -> None:
    pipeline = own("Lengths", factor=10)
    assert pipeline.run(["a", "bcd"], {"plus": 1}) == [11, 31]
    assert pipeline.warm_up() == (["one", "three"], {})
    assert pipeline.info.max_length is None


@pytest.mark.parametrize(("kind", "given"), [("image", LANDSCAPE), ("audio", TONE)])
def test_its_example_is_the_bytes_of_a_medium(kind: str, given: str) -> None:
    path = "tests.worker.engine.pipelines.own:Lengths"
    spec = ModelSpec.model_validate({"name": "mine", "pipeline": path, "input": kind, "example": given})
    custom: Any = pipelines.load(spec, None)
    custom._instance.warm_up = ()
    assert custom.warm_up() == ([decode(given)], {})


def test_arrays_become_lists() -> None:
    pipeline = own("Arrays")
    assert pipeline.run(["a", "bcd"], {}) == [[1.0, 0.5], [3.0, 0.5]]
    assert pipeline.warm_up() is None


def test_an_output_that_is_not_json_fails_alone() -> None:
    outputs = own("Mixed").run(["good", "object", "knot", "nan", "keys", "decimal"], {})
    assert pipelines.encode_output(outputs[0]) == b'{"is":true,"of":[0.5,"good"]}'
    for output, reason in zip(
        outputs[1:],
        ["object", "recursion", "NaN", "2 keys, of which JSON keeps 1", "Decimal"],
        strict=True,
    ):
        with pytest.raises(ValueError, match=reason):
            pipelines.encode_output(output)


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("TooMany", r"own:TooMany returned 3 outputs for 2 inputs"),
        ("OneForAll", r"own:OneForAll must return a list with one output per input, not dict"),
    ],
)
def test_a_wrong_number_of_outputs(name: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        own(name).run(["a", "b"], {})


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("nowhere.to_be_found:Anything", "importing nowhere.to_be_found failed with ModuleNotFoundError"),
        ("Misspelt", "tests.worker.engine.pipelines.own has no class named Misspelt"),
        ("NOT_A_CLASS", "has no class named NOT_A_CLASS"),
        ("Broken", "building tests.worker.engine.pipelines.own:Broken failed with OSError: disk on fire"),
        ("NotCallable", "cannot be called; it needs __call__"),
    ],
)
def test_a_class_that_cannot_be_served(name: str, reason: str) -> None:
    with pytest.raises(ConfigurationError, match=f"model 'mine': .*{reason}"):
        own(name)


def test_an_option_that_the_class_does_not_take() -> None:
    with pytest.raises(ConfigurationError, match=r"TypeError: .*unexpected keyword argument 'size'"):
        own("Lengths", size=3)


def test_torch_is_not_imported_for_it() -> None:
    code = (
        "import sys; from jobs.models import ModelSpec; from worker.engine import pipelines;"
        "spec = ModelSpec(name='mine', pipeline='tests.worker.engine.pipelines.own:Lengths');"
        "print(pipelines.load(spec, None).run(['abc'], {}), 'torch' in sys.modules)"
    )
    root = Path(__file__).parents[4]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[3] False\n"
