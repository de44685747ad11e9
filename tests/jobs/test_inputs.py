"""Kinds of inputs: what each accepts, measures, describes and shows."""

import base64
from typing import Any

import msgspec
import pytest

from jobs.errors import InvalidRequest
from jobs.inputs import check_input
from jobs.models import ModelSpec
from jobs.tasks import TASKS
from jobs.tasks.examples import LANDSCAPE
from jobs.tasks.text.ranking import MAX_DOCUMENTS

TEXT = ModelSpec(name="m", task="text-classification", source="here")
RANK = ModelSpec(name="m", task="text-ranking", source="here")
LOOK = ModelSpec(name="m", task="image-classification", source="here")
JPEG = base64.b64encode(b"\xff\xd8\xff\xe0" + bytes(3_000_000)).decode()
"""As large as an ordinary photo."""


@pytest.mark.parametrize(
    ("spec", "given"),
    [
        (TEXT, ""),
        (RANK, {"query": "q", "documents": ["d", ""]}),
        (RANK, {"query": "q", "document": "d"}),
        (RANK, {"query": "q" * 900, "documents": ["d" * 99] * MAX_DOCUMENTS}),
        (LOOK, LANDSCAPE),
        (LOOK, LANDSCAPE.partition(",")[2]),
        (LOOK, JPEG),
        (LOOK, f"\n{JPEG[:20]}\r\n{JPEG[20:]}"),
        (LOOK, "data:;base64," + JPEG[:400]),
    ],
)
def test_what_a_kind_accepts(spec: ModelSpec, given: Any) -> None:
    check_input(given, spec, "/inputs")


@pytest.mark.parametrize(
    ("spec", "given", "reason", "pointer"),
    [
        (RANK, "text", "inputs/3: give an object, not a text", "/inputs/3"),
        (
            RANK,
            {"query": "q"},
            "documents is missing; give a list of 1 to 1,000 texts",
            "/inputs/3",
        ),
        (RANK, {"query": "q", "documents": []}, "inputs/3/documents: give a list of", "/inputs/3/documents"),
        (
            RANK,
            {"query": "q", "documents": ["d", 7]},
            "inputs/3/documents/1: give a text, not a whole number",
            "/inputs/3/documents/1",
        ),
        (RANK, {"query": "q", "document": None}, "inputs/3/document: give a text", "/inputs/3/document"),
        (RANK, {"query": "q", "document": "d", "top": 1}, "top is unknown", "/inputs/3"),
        (RANK, {"query": "q", "documents": ["d"] * (MAX_DOCUMENTS + 1)}, "inputs/3/documents: give", None),
        (
            RANK,
            {"query": "q" * 1_000, "documents": ["d"] * MAX_DOCUMENTS},
            "1001000 characters exceed this model's limit of 1000000",
            "/inputs/3",
        ),
        (LOOK, {"image": LANDSCAPE}, "expected an image or a list of them, each as base64", "/inputs/3"),
        (LOOK, "", "the image is empty: it has 0 bytes", "/inputs/3"),
        (LOOK, "Not an image, but a text.", "this is not base64", "/inputs/3"),
        (LOOK, "https://example.org/a.png", "a link is fetched only for a request", "/inputs/3"),
        (LOOK, "data:image/png," + JPEG, "must look like data:image/png;base64", "/inputs/3"),
        (
            LOOK,
            base64.b64encode(b"%PDF-1.7" * 9).decode(),
            "not image data in a supported format: its first bytes are of none",
            "/inputs/3",
        ),
        (LOOK, JPEG * 7, "raise max_input_bytes in models.toml", "/inputs/3"),
    ],
)
def test_what_a_kind_refuses(spec: ModelSpec, given: Any, reason: str, pointer: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_input(given, spec, "/inputs/3")
    assert reason in str(refused.value)
    assert len(str(refused.value)) < 300
    assert pointer is None or refused.value.pointer == pointer


def test_a_kind_shows_an_input_to_people() -> None:
    assert LOOK.definition.input.show(LANDSCAPE) == "PNG image, 128 bytes"
    assert LOOK.definition.input.show(JPEG) == "JPEG image, 3.0 MB"
    both = {"query": "q", "documents": ["one", "two"]}
    assert RANK.definition.input.show(both) == "query: q\ndocuments: \n- one\n- two"
    for task in TASKS.values():
        for odd in (7, None, {"a": [1]}, ["x"], "\ud7ff"):
            assert isinstance(task.input.show(odd), str), "whatever a stock client has enqueued"


def test_a_kind_describes_what_it_accepts() -> None:
    forms = RANK.definition.input.describe(RANK.limits)["anyOf"]
    assert [form["required"] for form in forms] == [["query", "documents"], ["query", "document"]]
    assert forms[0]["properties"]["documents"]["maxItems"] == MAX_DOCUMENTS
    assert LOOK.definition.input.describe(LOOK.limits)["maxLength"] == 26_666_668
    assert msgspec.json.encode(forms)
