"""Outputs in a form for people: rows, entities in their text, the shape of a vector, generated text."""

import pytest

from api.pages.output_rows import MAX_TEXT, Row, view_of
from api.pages.visuals import HEIGHT, WIDTH, Continuation, Piece, visual


@pytest.mark.parametrize(
    ("output", "rows", "text"),
    [
        ({"label": "A", "score": 0.5}, [Row("A", 0.5)], ""),
        ([[{"label": "A", "score": 0.5}]], [Row("A", 0.5)], ""),
        ({"sequence": "s", "labels": ["A"], "scores": [0.5]}, [Row("A", 0.5)], ""),
        ([{"entity_group": "PER", "word": "Ada", "score": 0.9}], [Row("Ada", 0.9, "PER")], ""),
        ([{"token_str": "t", "sequence": "a t", "score": 0.9}], [Row("t", 0.9, "a t")], ""),
        ([{"generated_text": "once"}], [Row("once", None)], ""),
        ({"summary_text": "short"}, [Row("short", None)], ""),
        ({"translation_text": "court"}, [Row("court", None)], ""),
        ({"answer": "Ada", "score": 0.5, "start": 0, "end": 3}, [Row("Ada", 0.5)], ""),
        ({"answer": "SUM > 1, 2", "cells": ["1", "2"]}, [Row("SUM > 1, 2", None)], ""),
        ({"answer": "", "score": 0.9, "start": 0, "end": 0}, [Row("no answer", 0.9)], ""),
        ({"label": "A", "score": 17}, [Row("A", None)], ""),
        ([0.1] * 384, [], "384 numbers: 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, …"),
        ([[[0.1, 2]]], [], "1 row: 1 row: 2 numbers: 0.1, 2"),
        ("text" * 1_000, [], ("text" * 1_000)[:MAX_TEXT] + " …"),
        ({"any": None}, [], '{\n  "any": null\n}'),
        ([], [], "[]"),
        (None, [], "null"),
    ],
)
def test_outputs_are_made_readable(output: object, rows: list[Row], text: str) -> None:
    assert view_of({"output": output}) == (rows, text, "")


def test_documents_are_shown_best_first() -> None:
    given = {"query": "q", "documents": ["one", "two", "three"]}
    output = [{"index": 0, "score": 0.25}, {"index": 2, "score": 0.5}]
    assert view_of({"output": output}, "ranking", given).rows == [Row("three", 0.5), Row("one", 0.25)]
    raw = [{"index": 1, "score": -4.5}, {"index": 0, "score": 7.25}]
    assert view_of({"output": raw}, "ranking", given).rows == [
        Row("one", None, "score 7.25"),
        Row("two", None, "score -4.5"),
    ]
    pair = {"query": "q", "document": "d"}
    assert view_of({"output": {"score": 0.5}}, "ranking", pair).rows == [Row("d", 0.5)]
    unknowns: list[object] = [None, "text", {"documents": 7}, {"documents": []}]
    for unknown in unknowns:
        assert view_of({"output": output}, "ranking", unknown).rows[0].label == "document 3"
    for odd in ("text", [], [7], {"score": "high"}, [{"index": 0}]):
        assert view_of({"output": odd}, "ranking", given).rows == []


def test_a_task_says_how_its_outputs_are_shown() -> None:
    output = [{"entity_group": "PER", "word": "Ada", "score": 0.9}]
    assert view_of({"output": output}, "entities").rows == [Row("Ada", 0.9, "PER")]
    assert view_of({"output": output}, "labels").rows == []
    assert visual({"output": [0.5]}, "x", "labels") == ([], None, None)
    assert visual({"output": [0.5]}, "x", "vectors").sparkline is not None


def test_entities_are_marked_in_their_text() -> None:
    text = "Ada and Bob met in London."
    entities = [
        {"entity_group": "LOC", "word": "london", "start": 19, "end": 25, "score": 0.9},
        {"entity_group": "PER", "word": "ada", "start": 0, "end": 3, "score": 0.9},
        {"entity": "B-PER", "word": "bob", "start": 8, "end": 11, "score": 0.9},
        {"entity_group": "PER", "word": "inside another", "start": 9, "end": 11, "score": 0.9},
        {"entity_group": "PER", "word": "nowhere", "start": 20, "end": 99, "score": 0.9},
        {"entity_group": "PER", "word": "no place", "start": None, "end": None, "score": 0.9},
    ]
    found = visual({"output": entities}, text).pieces
    assert found == [
        Piece("Ada", "PER", 0),
        Piece(" and "),
        Piece("Bob", "PER", 0),
        Piece(" met in "),
        Piece("London", "LOC", 1),
        Piece("."),
    ]
    assert "".join(piece.text for piece in found) == text
    assert visual({"output": entities}, {"not": "a text"}).pieces == []


def test_a_vector_is_drawn_to_scale() -> None:
    sparkline = visual({"output": [0.0, -1.0, 1.0]}, "x").sparkline
    assert sparkline is not None
    assert sparkline.path == f"M0.0 {HEIGHT / 2}L{WIDTH / 2} {HEIGHT}L{WIDTH} 0.0"
    assert (sparkline.zero, sparkline.summary) == (HEIGHT / 2, "3 numbers, -1 to 1")
    long = visual({"output": [0.5] * 1_000}, "x").sparkline
    assert long is not None
    assert long.path.count("L") < 120, "so many numbers share points"
    assert long.summary.startswith("1,000 numbers")
    rows = visual({"output": [[[0.1, 0.2], [0.3, 0.4]]]}, "x").sparkline
    assert rows is not None
    assert rows.summary == "2 rows of 2 numbers; the first, 0.1 to 0.2"


@pytest.mark.parametrize(
    "output", [[], [True, False], [[]], [["a"]], None, "text", {"label": "A", "score": 1}]
)
def test_what_is_no_picture_has_none(output: object) -> None:
    assert visual({"output": output}, "x") == ([], None, None)
    assert visual(None, "x") == ([], None, None)


def test_generated_text_is_separate_from_its_prompt() -> None:
    output = [{"generated_text": "Once upon a time"}]
    assert visual({"output": output}, "Once upon").continuation == Continuation("Once upon", " a time")
    assert visual({"output": output}, "Another").continuation == Continuation("", "Once upon a time")
