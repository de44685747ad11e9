"""Takes a failing batch apart, so that one bad input fails alone (promise 4).

- The pipeline raised: bisect. The halves run as batches of their own; a single item that raises has failed.
- The engine died or hung: restart it and run the members one at a time. An item that kills the engine
  alone, twice, has failed; its neighbours have their answers.
"""

from collections.abc import Sequence
from typing import Any

import structlog

from worker.engine import BatchRaised, Engine, EngineDied
from worker.protocol import Failure

log = structlog.get_logger()

KILLS = 2
"""Engines that one item may kill alone: the first may have been an accident."""

Outcome = bytes | Failure
"""An output as JSON, or why there is none."""


class Isolation:
    """Runs batches on an engine, and counts what it took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.compute_ms = 0.0
        """Milliseconds of forward passes in the last `run`."""

    async def run(self, inputs: Sequence[Any], parameters: dict[str, Any]) -> list[Outcome]:
        """One outcome for each input, in order. Raises EngineDied when the engine cannot be restarted."""
        self.compute_ms = 0.0
        return await self._run(list(inputs), parameters)

    async def after(
        self, error: BatchRaised | EngineDied, inputs: Sequence[Any], parameters: dict[str, Any]
    ) -> list[Outcome]:
        """As `run`, for a batch that has been run and failed like this. Nothing else may be in the engine."""
        self.compute_ms = 0.0
        return await self._after(error, list(inputs), parameters)

    async def _run(self, inputs: list[Any], parameters: dict[str, Any]) -> list[Outcome]:
        try:
            ran = await self.engine.run(inputs, parameters)
        except (BatchRaised, EngineDied) as error:
            return await self._after(error, inputs, parameters)
        self.compute_ms += ran.milliseconds
        return list(ran.outputs)

    async def _after(
        self, error: BatchRaised | EngineDied, inputs: list[Any], parameters: dict[str, Any]
    ) -> list[Outcome]:
        if isinstance(error, EngineDied):
            log.error("engine died", model=self.engine.spec.name, items=len(inputs), error=str(error))
            await self.engine.restart()
            # alone in its batch, it has killed one engine already
            kills = 1 if len(inputs) == 1 else 0
            return [await self._run_alone(item, parameters, kills) for item in inputs]
        if len(inputs) == 1:
            return [Failure("input-failed", str(error))]
        log.info("batch raised, halving it", model=self.engine.spec.name, items=len(inputs), error=str(error))
        half = len(inputs) // 2
        return [
            *await self._run(inputs[:half], parameters),
            *await self._run(inputs[half:], parameters),
        ]

    async def _run_alone(self, item: Any, parameters: dict[str, Any], kills: int) -> Outcome:
        while True:
            try:
                ran = await self.engine.run([item], parameters)
            except BatchRaised as error:
                return Failure("input-failed", str(error))
            except EngineDied as error:
                log.error("engine died on one input", model=self.engine.spec.name, error=str(error))
                await self.engine.restart()
                kills += 1
                if kills >= KILLS:
                    return Failure(error.kind, f"this input alone made it happen {kills} times: {error}")
            else:
                self.compute_ms += ran.milliseconds
                return ran.outputs[0]
