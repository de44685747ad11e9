"""Outputs for pages: scored rows, if the task defines so (`jobs/tasks/task.py`), else text or JSON."""

from collections.abc import Callable
from typing import Any, NamedTuple

import msgspec

from jobs.tasks import Output
from jobs.wording import counted

MAX_ROWS = 10
"""Maximum labels or entities of one output that a page shows."""
MAX_TEXT = 2_000
"""Maximum characters of one text that a page shows."""
FIRST_NUMBERS = 6


class Row(NamedTuple):
    """One label, entity or continuation. `score` is between 0 and 1, or None."""

    label: str
    score: float | None
    note: str = ""


class View(NamedTuple):
    """What a page shows of one result: rows, or if there are none, a text."""

    rows: list[Row]
    text: str
    error: str = ""


def view_of(result: dict[str, Any], how: Output = "any", given: object = None) -> View:
    """What to show of one result. `how` is the kind of the task's outputs, `given` the result's input."""
    if "error" in result:
        error = result["error"]
        detail = error.get("detail") or error.get("title") if isinstance(error, dict) else error
        return View([], "", shortened(str(detail)))
    output = result.get("output")
    if how == "ranking":
        rows = _ranking(output, given)
    elif how == "scores":
        rows = _scores(output, given)
    else:
        readers = list(_ROWS.values()) if how == "any" else [_ROWS[how]] if how in _ROWS else []
        rows = _rows(output, readers)
    return View(rows[:MAX_ROWS], "" if rows else _text(output))


def shortened(text: str) -> str:
    return text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]} …"


Reader = Callable[[Any], list[Row]]


def _rows(output: Any, readers: list[Reader]) -> list[Row]:
    """Rows by the first reader that recognises the output, or each part of it; [] if none does."""
    match output:
        case [[dict(), *_]]:
            return _rows(output[0], readers)
        case [dict(), *_]:
            each = [_rows(part, readers) for part in output[:MAX_ROWS]]
            return [row for rows in each for row in rows] if all(each) else []
    return next((rows for read in readers if (rows := read(output))), [])


def _labels(output: Any) -> list[Row]:
    match output:
        case {"labels": list(labels), "scores": list(scores)}:  # zero-shot
            return [Row(str(label), _score(score)) for label, score in zip(labels, scores, strict=False)]
        case {"label": label, "score": score}:
            return [Row(str(label), _score(score))]
    return []


def _entities(output: Any) -> list[Row]:
    match output:
        case {"entity_group": kind, "word": word, **rest} | {"entity": kind, "word": word, **rest}:
            return [Row(str(word), _score(rest.get("score")), str(kind))]
    return []


def _words(output: Any) -> list[Row]:
    match output:
        case {"token_str": token, "sequence": sequence, **rest}:
            return [Row(str(token), _score(rest.get("score")), shortened(str(sequence)))]
    return []


def _texts(output: Any) -> list[Row]:
    match output:
        case {"generated_text": str(text)} | {"summary_text": str(text)} | {"translation_text": str(text)}:
            return [Row(shortened(text), None)]
    return []


def _answers(output: Any) -> list[Row]:
    match output:
        case {"answer": str(answer), **rest}:
            return [Row(shortened(answer) or "no answer", _score(rest.get("score")))]
    return []


def _keypoints(output: Any) -> list[Row]:
    match output:
        case {
            "keypoint_image_0": {"x": int() | float() as x0, "y": int() | float() as y0},
            "keypoint_image_1": {"x": int() | float() as x1, "y": int() | float() as y1},
            **rest,
        }:
            return [Row(f"({x0:g}, {y0:g}) and ({x1:g}, {y1:g})", _score(rest.get("score")))]
    return []


_ROWS: dict[Output, Reader] = {
    "entities": _entities,
    "words": _words,
    "labels": _labels,
    "texts": _texts,
    "answers": _answers,
    "keypoints": _keypoints,
}


def _scores(output: Any, given: Any) -> list[Row]:
    """A score for each of the sentences in the input, in their order; [] for anything else."""
    if not isinstance(output, list) or not all(type(score) in (int, float) for score in output):
        return []
    lists = [value for value in given.values() if isinstance(value, list)] if isinstance(given, dict) else []
    sentences = next((value for value in lists if len(value) == len(output)), None)
    return [
        Row(
            f"sentence {i + 1}" if sentences is None else shortened(str(sentences[i])),
            _score(score),
            _note(score),
        )
        for i, score in enumerate(output[:MAX_ROWS])
    ]


def _ranking(output: Any, given: Any) -> list[Row]:
    """Documents with their scores, the best first. `given` is the input that contains them."""
    entries = output if isinstance(output, list) else [output]
    texts = given.get("documents") if isinstance(given, dict) else None
    documents = texts if isinstance(texts, list) else []
    rows = []
    for entry in entries:
        match entry:
            case {"index": int(index), "score": int() | float() as score}:
                known = 0 <= index < len(documents)
                rows.append((score, str(documents[index]) if known else f"document {index + 1}"))
            case {"score": int() | float() as score}:  # the score of a pair
                rows.append((score, str(given.get("document")) if isinstance(given, dict) else "document"))
            case _:
                return []
    best = sorted(rows, key=lambda row: -row[0])[:MAX_ROWS]
    return [Row(shortened(text), _score(score), _note(score)) for score, text in best]


def _note(score: float) -> str:
    """The score as text if it is not between 0 and 1, because a meter cannot show it."""
    return "" if 0 <= score <= 1 else f"score {score:.3g}"


def _score(score: Any) -> float | None:
    """The score, or None if it is not between 0 and 1, so that no meter is drawn."""
    return float(score) if isinstance(score, int | float) and 0 <= score <= 1 else None


def _text(output: Any) -> str:
    if isinstance(output, str):
        return shortened(output)
    if isinstance(output, list) and output and all(isinstance(number, int | float) for number in output):
        first = ", ".join(f"{number:.4g}" for number in output[:FIRST_NUMBERS])
        return f"{counted(len(output), 'number')}: {first}{', …' if len(output) > FIRST_NUMBERS else ''}"
    if isinstance(output, list) and output and all(isinstance(row, list) for row in output):
        return f"{counted(len(output), 'row')}: {_text(output[0])}"
    return shortened(msgspec.json.format(msgspec.json.encode(output), indent=2).decode())
