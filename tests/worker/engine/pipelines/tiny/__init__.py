"""Models of a few thousand random weights, saved as a hub would hold them: one folder for each."""

from collections.abc import Callable
from pathlib import Path

from tests.worker.engine.pipelines.tiny import audio, multimodal, tables, text, vision

BUILDERS: dict[str, Callable[[Path], None]] = {
    **text.BUILDERS,
    **tables.BUILDERS,
    **vision.BUILDERS,
    **audio.BUILDERS,
    **multimodal.BUILDERS,
}
