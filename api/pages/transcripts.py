"""What was said in a sound: its text, and its parts with their times if the task found them."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from api.pages.input_media import Medium
from api.pages.output_rows import shortened

MAX_PARTS = 400
"""Maximum words or sentences with times that a page shows."""
MAX_CHARS = 20_000
"""Maximum characters of a transcript that a page shows."""


class Part(NamedTuple):
    """A word or a sentence. Times are in seconds from the start of the sound."""

    text: str
    start: float
    end: float | None


class Transcript(NamedTuple):
    """`sound` is None if the input is not kept."""

    text: str
    parts: list[Part]
    more: int
    """Number of parts that are not shown."""
    sound: Medium | None


def transcript(output: Any, media: Sequence[Medium]) -> Transcript | None:
    """The output beside the input's sound; None if it is no transcript."""
    match output:
        case {"text": str(text), **rest} if rest.keys() <= {"chunks", "language"}:
            pass
        case _:
            return None
    sound = next((each for each in media if each.kind == "audio"), None)
    given = rest.get("chunks")
    chunks = given if isinstance(given, list) else []
    parts = [part for each in chunks[:MAX_PARTS] if (part := _part(each))]
    cut = text if len(text) <= MAX_CHARS else f"{text[:MAX_CHARS]} …"
    return Transcript(cut, parts, len(chunks) - len(parts), sound)


def clock(seconds: float) -> str:
    """A time within a sound: `0:07.48`, `1:02:07.48`."""
    minutes, rest = divmod(max(0.0, seconds), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{rest:05.2f}" if hours else f"{minutes}:{rest:05.2f}"


def _part(chunk: object) -> Part | None:
    match chunk:
        case {"text": str(text), "timestamp": [int() | float() as start, end]} if math.isfinite(start):
            known = isinstance(end, int | float) and math.isfinite(end)
            return Part(shortened(text.strip()), float(start), float(end) if known else None)
    return None
