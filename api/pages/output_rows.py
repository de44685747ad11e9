"""Outputs of the known tasks in a form for people: scored labels where there are some, else text or JSON."""

from typing import Any, NamedTuple

import msgspec

from api.wording import counted

MOST_ROWS = 10
"""Labels or entities of one output that a page shows."""
MOST_TEXT = 2_000
"""Characters of one text that a page shows."""
FIRST_NUMBERS = 6


class Row(NamedTuple):
    """One label, entity or continuation; `score` is between 0 and 1, or None."""

    label: str
    score: float | None
    note: str = ""


class Shown(NamedTuple):
    """What a page shows of one result: rows, or else a text."""

    rows: list[Row]
    text: str
    error: str = ""


def shown(result: dict[str, Any]) -> Shown:
    """One entry of a job's results."""
    if "error" in result:
        error = result["error"]
        detail = error.get("detail") or error.get("title") if isinstance(error, dict) else error
        return Shown([], "", shortened(str(detail)))
    output = result.get("output")
    rows = _rows(output)
    return Shown(rows[:MOST_ROWS], "" if rows else _text(output))


def shortened(text: str) -> str:
    return text if len(text) <= MOST_TEXT else f"{text[:MOST_TEXT]} …"


def _rows(output: Any) -> list[Row]:
    match output:
        case {"labels": list(labels), "scores": list(scores)}:  # zero-shot
            return [Row(str(label), _score(score)) for label, score in zip(labels, scores, strict=False)]
        case {"entity_group": kind, "word": word, **rest} | {"entity": kind, "word": word, **rest}:
            return [Row(str(word), _score(rest.get("score")), str(kind))]
        case {"token_str": token, "sequence": sequence, **rest}:
            return [Row(str(token), _score(rest.get("score")), shortened(str(sequence)))]
        case {"label": label, "score": score}:
            return [Row(str(label), _score(score))]
        case {"generated_text": str(text)}:
            return [Row(shortened(text), None)]
        case [[dict(), *_]]:
            return _rows(output[0])
        case [dict(), *_]:
            each = [_rows(part) for part in output[:MOST_ROWS]]
            return [row for rows in each for row in rows] if all(each) else []
    return []


def _score(score: Any) -> float | None:
    """None where it is no share of one, so that no meter is drawn for it."""
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
