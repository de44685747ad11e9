"""Visualises outputs: entities and answers in their text, a vector as a sparkline, generated text after its
prompt. What models of media found is in `drawings.py`."""

import math
from collections.abc import Iterator
from itertools import cycle
from typing import Any, NamedTuple

from api.pages.output_rows import MAX_TEXT, shortened
from jobs.tasks import Output
from jobs.wording import counted

COLOURS = 6
POINTS = 120
"""Maximum points of a sparkline."""
WIDTH, HEIGHT = 240.0, 36.0


class Piece(NamedTuple):
    """Part of a text. `kind` is empty if it is not an entity. Each kind has its `colour`."""

    text: str
    kind: str = ""
    colour: int = 0


class Sparkline(NamedTuple):
    """An SVG path in WIDTH x HEIGHT units. `zero` is the y of value 0; `summary` has the length and range."""

    path: str
    zero: float
    summary: str


class Continuation(NamedTuple):
    """Generated text. `prompt` is empty if the output does not contain it."""

    prompt: str
    text: str


class Visual(NamedTuple):
    """A visualised output. At most one of the fields is set."""

    pieces: list[Piece]
    sparkline: Sparkline | None = None
    continuation: Continuation | None = None


def visual(result: dict[str, Any] | None, given: object, how: Output = "any") -> Visual:
    """Visualises one result and its input. `how` is the kind of the task's outputs."""
    output = result.get("output") if result else None
    if how in ("entities", "any"):
        match output:
            case [{"start": int(), "end": int(), "word": _}, *_] if isinstance(given, str):
                return Visual(list(_pieces(output, given)))
    if how == "answers":
        return Visual(_answer(output, given))
    if how in ("texts", "any"):
        match output:
            case [{"generated_text": str(text)}, *_] | {"generated_text": str(text)}:
                return Visual([], None, _continued(text, given))
    return Visual([], _vectors(output)) if how in ("vectors", "any") else Visual([])


AROUND = 400
"""Characters of a context that are shown before and after its answer."""


def _answer(output: Any, given: object) -> list[Piece]:
    """The best answer marked in the context that the input has; [] if its place is not known."""
    context = given.get("context") if isinstance(given, dict) else None
    best = output[0] if isinstance(output, list) and output else output
    match best:
        case {"answer": str(), "start": int(start), "end": int(end)} if isinstance(context, str):
            if not 0 <= start < end <= len(context) or end - start > MAX_TEXT:
                return []
            first, last = max(0, start - AROUND), min(len(context), end + AROUND)
            before = f"{'… ' if first else ''}{context[first:start]}"
            after = f"{context[end:last]}{' …' if last < len(context) else ''}"
            return [Piece(before), Piece(context[start:end], "answer"), Piece(after)]
    return []


def _vectors(output: Any) -> Sparkline | None:
    """A sparkline of the vector, or of the first of several; None if the output is not a vector."""
    match output:
        case [float() | int(), *_] if all(type(number) in (int, float) for number in output):
            return _sparkline(output, counted(len(output), "number"))
        case [[float() | int(), *_] as row, *_] | [[[float() | int(), *_] as row, *_]]:
            rows = output if type(output[0][0]) is not list else output[0]
            if all(type(number) in (int, float) for number in row):
                summary = f"{counted(len(rows), 'row')} of {counted(len(row), 'number')}; the first"
                return _sparkline(row, summary)
    return None


def _pieces(entities: list[Any], text: str) -> Iterator[Piece]:
    """The text split at its entities, in order. Entities that overlap or lie outside are left out."""
    colours: dict[str, int] = {}
    numbers = cycle(range(COLOURS))
    at = 0
    known = [entity for entity in entities if isinstance(entity, dict)]
    for entity in sorted(known, key=lambda entity: _place(entity.get("start"))):
        start, end = _place(entity.get("start")), _place(entity.get("end"))
        kind = str(entity.get("entity_group") or entity.get("entity") or "entity").removeprefix("B-")
        kind = kind.removeprefix("I-")
        if not at <= start < end <= len(text) or end > MAX_TEXT:
            continue
        if start > at:
            yield Piece(text[at:start])
        if kind not in colours:
            colours[kind] = next(numbers)
        yield Piece(text[start:end], kind, colours[kind])
        at = end
    rest = text[at:]
    if rest:
        yield Piece(shortened(rest))


def _place(given: object) -> int:
    return given if isinstance(given, int) else -1


def _continued(text: str, given: object) -> Continuation:
    prompt = given if isinstance(given, str) and text.startswith(given) else ""
    return Continuation(_end(prompt), shortened(text[len(prompt) :]))


def _end(prompt: str) -> str:
    return prompt if len(prompt) <= MAX_TEXT else f"… {prompt[-MAX_TEXT:]}"


def _sparkline(numbers: list[float], summary: str) -> Sparkline | None:
    """A sparkline of at most POINTS points; None for numbers too large to draw.

    Each point is the mean of consecutive numbers.
    """
    size = -(-len(numbers) // POINTS)
    means = [sum(part) / len(part) for part in (numbers[i : i + size] for i in range(0, len(numbers), size))]
    low, high = min(0.0, *means), max(0.0, *means)
    span = (high - low) or 1.0
    if not math.isfinite(span):
        return None
    step = WIDTH / max(1, len(means) - 1)
    places = (f"{i * step:.1f} {HEIGHT * (high - mean) / span:.1f}" for i, mean in enumerate(means))
    lowest, highest = min(numbers), max(numbers)
    return Sparkline(
        "M" + "L".join(places), HEIGHT * high / span, f"{summary}, {lowest:.3g} to {highest:.3g}"
    )
