"""What a model found in a picture, drawn over it: boxes and masks, each label with a colour of its own."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from api.pages.input_media import Medium
from api.pages.output_files import file_of
from api.pages.output_rows import shortened

COLOURS = 6
MAX_BOXES = 50
MAX_MASKS = 24
"""Maximum masks of one output that a page shows. Each has a rule in `media.css`, to hide it."""


class Box(NamedTuple):
    """A box in pixels of the picture."""

    label: str
    score: float | None
    colour: int
    x: float
    y: float
    width: float
    height: float


class Mask(NamedTuple):
    """A mask, a grey picture that is white where the label is."""

    label: str
    score: float | None
    colour: int
    url: str


class Overlay(NamedTuple):
    """Boxes or masks. `picture` is None if the input is not kept."""

    picture: Medium | None
    boxes: list[Box]
    masks: list[Mask]
    more: int
    """Number of those that are not shown."""


def overlay(output: Any, media: Sequence[Medium]) -> Overlay | None:
    """The output drawn over the input's first picture; None if it has neither boxes nor masks."""
    picture = next((each for each in media if each.kind == "image"), None)
    found = output if isinstance(output, list) and all(isinstance(each, dict) for each in output) else []
    colours: dict[str, int] = {}
    boxes = [box for each in found[:MAX_BOXES] if (box := _box(each, colours))]
    if boxes:
        return Overlay(picture, boxes, [], len(found) - len(boxes))
    masks = [mask for each in found[:MAX_MASKS] if (mask := _mask(each, colours))]
    return Overlay(picture, [], masks, len(found) - len(masks)) if masks else None


def _box(found: dict[str, Any], colours: dict[str, int]) -> Box | None:
    match found.get("box"):
        case {"xmin": left, "ymin": top, "xmax": right, "ymax": bottom}:
            pass
        case _:
            return None
    if not all(map(_is_number, (left, top, right, bottom))) or right < left or bottom < top:
        return None
    label = shortened(str(found.get("label", "")))
    return Box(label, _score(found), _colour(label, colours), left, top, right - left, bottom - top)


def _mask(found: dict[str, Any], colours: dict[str, int]) -> Mask | None:
    file = file_of(found.get("mask"))
    if file is None or file.kind != "image":
        return None
    label = shortened(str(found.get("label") or "mask"))
    return Mask(label, _score(found), _colour(label, colours, bool(found.get("label"))), file.url)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and math.isfinite(value) and abs(value) < 1e9


def _score(found: dict[str, Any]) -> float | None:
    score = found.get("score")
    return float(score) if isinstance(score, int | float) and _is_number(score) else None


def _colour(label: str, colours: dict[str, int], has_label: bool = True) -> int:
    """The label's colour. What has no label gets the next one each time."""
    return colours.setdefault(label if has_label else f"\0{len(colours)}", len(colours) % COLOURS)
