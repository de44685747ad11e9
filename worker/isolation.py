"""Takes a failing batch apart, so that one bad input fails alone (promise 4).

- The pipeline raised: bisect. The halves run as batches of their own; a single item that raises has failed.
- The engine died or hung: restart it and run the members one at a time. An item that kills the engine
  alone, twice, has failed; its neighbours have their answers.
"""

import logging
from collections.abc import Sequence
from typing import Any

import structlog

from jobs.errors import BatchlineError
from worker.engine import BatchRaised, Engine, EngineDied
from worker.protocol import Failure, Ran

log = structlog.get_logger()

KILLS = 2
"""Engines that one item may kill alone: the first may have been an accident."""

Outcome = bytes | Failure
"""An output as JSON, or why there is none."""


Member = tuple[Any, str]
"""An input, and the id of its job where it is known."""


class Isolation:
    """Runs batches on an engine, and counts what it took."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.compute_ms, self.tokens, self.padded = 0.0, 0, 0
        """Milliseconds of forward passes in the last `run`, and the tokens in them, as in a Result."""

    async def run(self, inputs: Sequence[Any], parameters: dict[str, Any]) -> list[Outcome]:
        """One outcome for each input, in order. Raises EngineLost when the engine cannot be restarted."""
        self.compute_ms, self.tokens, self.padded = 0.0, 0, 0
        return await self._run([(item, "") for item in inputs], parameters)

    async def after(
        self,
        error: BatchRaised | EngineDied,
        inputs: Sequence[Any],
        parameters: dict[str, Any],
        jobs: Sequence[str],
    ) -> list[Outcome]:
        """As `run`, for a batch that has been run and failed like this. Nothing else may be in the engine.

        `jobs` has the id of each input's job, for the log.
        """
        self.compute_ms, self.tokens, self.padded = 0.0, 0, 0
        return await self._after(error, list(zip(inputs, jobs, strict=True)), parameters)

    async def _run(self, members: list[Member], parameters: dict[str, Any]) -> list[Outcome]:
        try:
            ran = await self.engine.run([item for item, _ in members], parameters)
        except (BatchRaised, EngineDied) as error:
            return await self._after(error, members, parameters)
        self._count(ran)
        return list(ran.outputs)

    async def _after(
        self, error: BatchRaised | EngineDied, members: list[Member], parameters: dict[str, Any]
    ) -> list[Outcome]:
        if isinstance(error, EngineDied):
            self._tell(logging.ERROR, "engine died", error, members)
            await self.engine.restart()
            # alone in its batch, it has killed one engine already
            kills = 1 if len(members) == 1 else 0
            return [await self._run_alone(member, parameters, kills) for member in members]
        if len(members) == 1:
            if not await self._memory_freed(error, members[0]):
                return [Failure("input-failed", str(error))]
            return [await self._run_alone(members[0], parameters, 0)]
        self._tell(logging.INFO, "batch raised, halving it", error, members)
        half = len(members) // 2
        return [
            *await self._run(members[:half], parameters),
            *await self._run(members[half:], parameters),
        ]

    async def _run_alone(self, member: Member, parameters: dict[str, Any], kills: int) -> Outcome:
        while True:
            try:
                ran = await self.engine.run([member[0]], parameters)
            except BatchRaised as error:
                if not await self._memory_freed(error, member):
                    return Failure("input-failed", str(error))
            except EngineDied as error:
                self._tell(logging.ERROR, "engine died on one input", error, [member])
                await self.engine.restart()
                kills += 1
                if kills >= KILLS:
                    return Failure(error.kind, f"this input alone made it happen {kills} times: {error}")
            else:
                self._count(ran)
                return ran.outputs[0]

    async def _memory_freed(self, error: BatchRaised, member: Member) -> bool:
        """Where memory was short, in an engine that others may have filled: replaces it for one more try."""
        if not error.shortage or self.engine.wear.answers <= 1:
            return False
        self._tell(logging.ERROR, "engine out of memory", error, [member])
        await self.engine.restart("memory")
        return True

    def _count(self, ran: Ran) -> None:
        self.compute_ms += ran.compute_ms
        self.tokens += ran.tokens or 0
        self.padded += ran.padded or 0

    def _tell(self, level: int, event: str, error: BatchlineError, members: list[Member]) -> None:
        about = {"job": job} if len(members) == 1 and (job := members[0][1]) else {}
        log.log(level, event, model=self.engine.spec.name, **about, items=len(members), error=str(error))
