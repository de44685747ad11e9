"""A text-generation model whose engine a test can hold in the middle of its texts."""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from jobs.models import ModelSpec
from worker.engine import pipelines
from worker.engine.pipelines.continuous import Progress, Row
from worker.engine.pipelines.text.continuous.pipeline import ContinuousTextGeneration


class GatedGeneration:
    """Serves the checkpoint as the task does; after `tokens` tokens it waits until the file `gate` exists."""

    def __init__(self, source: Path, gate: str, tokens: int) -> None:
        spec = ModelSpec(name="tiny", task="text-generation", source=str(source), device="cpu")
        self._pipeline = cast(ContinuousTextGeneration, pipelines.load(spec, source))
        self._gate = Path(gate)
        self._tokens = tokens
        self.slots = self._pipeline.slots
        self.row, self.fits, self.join = self._pipeline.row, self._pipeline.fits, self._pipeline.join
        self.leave, self.output = self._pipeline.leave, self._pipeline.output

    def __call__(self, inputs: Sequence[str], **parameters: Any) -> list[Any]:
        raise AssertionError("a row is not run as a batch")

    def step(self) -> list[Progress]:
        while any(self._is_held(row) for row in self._pipeline._rows):
            time.sleep(0.001)
        return self._pipeline.step()

    def _is_held(self, row: Row) -> bool:
        return len(row.tokens) >= self._tokens and not self._gate.exists()
