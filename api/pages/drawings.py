"""Outputs of models of media: drawn over the picture, beside the sound, or as files of their own."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec

from api.pages.input_media import Medium
from api.pages.output_files import OutputFile, files_of, without_files
from api.pages.overlays import Overlay, overlay
from api.pages.transcripts import Transcript, transcript
from jobs.tasks import Output

WITH_FILES: tuple[Output, ...] = ("masks", "picture", "sound", "any")


class Drawing(NamedTuple):
    """At most one of the fields is set; all are empty for an output without media."""

    overlay: Overlay | None = None
    transcript: Transcript | None = None
    files: Sequence[OutputFile] = ()
    rest: str = ""
    """What an output with files has beside them, as JSON."""


def drawing(result: dict[str, Any] | None, media: Sequence[Medium], how: Output) -> Drawing:
    """What to draw for one result. `media` are those of its input, `how` is the kind of the outputs."""
    output = result.get("output") if result else None
    if how in ("boxes", "masks", "any") and (found := overlay(output, media)):
        return Drawing(overlay=found)
    heard = transcript(output, media) if how in ("transcript", "any") else None
    if heard and (heard.parts or how == "transcript"):  # any class may return an object with a text
        return Drawing(transcript=heard)
    if how in WITH_FILES and (files := files_of(output)):
        rest = without_files(output)
        return Drawing(files=files, rest=msgspec.json.encode(rest).decode() if rest else "")
    return Drawing()
