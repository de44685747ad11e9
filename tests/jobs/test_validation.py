"""Refusals say what is allowed, in JSON's terms and not in those of the validating library."""

from typing import Any

import msgspec
import pytest

from jobs import tasks
from jobs.errors import InvalidRequest
from jobs.schema import JobRequest
from jobs.validation import explained

RANGE = "give a whole number from 1 to 1,000, or null"
LABELS = "give a list of 1 to 100 texts of 1 to 1,000 characters each"


@pytest.mark.parametrize(
    ("body", "words", "pointer"),
    [
        (
            {"inputs": "x", "priority": "urgent"},
            "priority: give high, normal or low, not 'urgent'",
            "/priority",
        ),
        (
            {"inputs": "x", "priority": 5},
            "priority: give high, normal or low, not a whole number",
            "/priority",
        ),
        ({"inputs": "x", "model": None}, "model: give a text, not null", "/model"),
        ({"inputs": "x", "expires_in": 0}, "expires_in: give a number above 0, up to 604,800", "/expires_in"),
        ({"inputs": "x", "parameters": []}, "parameters: give an object, not a list", "/parameters"),
        ({"model": "m"}, "inputs is missing", None),
        (
            {"inputs": "x", "input": 1},
            "input is unknown; there are inputs, model, parameters, priority, expires_in, result_ttl, "
            "keep_inputs, stream and webhook",
            None,
        ),
        ([], "the body: give an object, not a list", None),
    ],
)
def test_a_body_that_is_not_right_is_told_what_would_be(body: Any, words: str, pointer: str | None) -> None:
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(msgspec.json.encode(body), type=JobRequest)
    error = explained(raised.value, JobRequest, "")
    assert (str(error), error.pointer) == (words, pointer)


@pytest.mark.parametrize(
    ("task", "given", "words", "pointer"),
    [
        ("text-classification", {"top_k": "1"}, f"/top_k: {RANGE}, not a text", "/top_k"),
        ("text-classification", {"top_k": 0}, f"/top_k: {RANGE}", "/top_k"),
        (
            "text-classification",
            {"volume": 1},
            ": volume is unknown; there are top_k and function_to_apply",
            "",
        ),
        (
            "token-classification",
            {"aggregation_strategy": "loud"},
            "/aggregation_strategy: give none, simple, first, average or max, not 'loud'",
            "/aggregation_strategy",
        ),
        (
            "token-classification",
            {"ignore_labels": ["a", 3]},
            "/ignore_labels/1: give a text of 1 to 1,000 characters, not a whole number",
            "/ignore_labels/1",
        ),
        ("zero-shot-classification", {}, f": candidate_labels is missing; {LABELS}", ""),
        (
            "zero-shot-classification",
            {"candidate_labels": []},
            f"/candidate_labels: {LABELS}",
            "/candidate_labels",
        ),
        (
            "text-generation",
            {"do_sample": 1},
            "/do_sample: give true or false, not a whole number",
            "/do_sample",
        ),
    ],
)
def test_a_parameter_that_is_not_right_is_told_what_would_be(
    task: str, given: dict[str, Any], words: str, pointer: str
) -> None:
    with pytest.raises(InvalidRequest) as raised:
        tasks.validate(given, tasks.TASKS[task].parameters)
    assert str(raised.value) == f"parameters{words}"
    assert raised.value.pointer == f"/parameters{pointer}"


def test_an_objects_value_is_told_of_as_the_object_is() -> None:
    """Which of its values it is, msgspec does not tell."""
    body = b'{"inputs": "x", "parameters": {"temperature": 1e999}}'
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.json.decode(body, type=JobRequest)
    assert explained(raised.value, JobRequest, "").pointer == "/parameters"


def test_what_would_do_something_to_a_terminal_is_not_repeated() -> None:
    with pytest.raises(InvalidRequest) as raised:
        tasks.validate({"a\x1b[31mb": 1}, tasks.custom_parameters({}))
    assert str(raised.value).startswith("parameters: a\N{REPLACEMENT CHARACTER}[31mb is unknown")


def test_a_class_without_parameters_says_so_and_a_long_name_is_cut() -> None:
    with pytest.raises(InvalidRequest, match=r"^parameters: k{60}… is unknown; there are none$"):
        tasks.validate({"k" * 1_000: 1}, tasks.custom_parameters({}))
