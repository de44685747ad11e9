"""Engine: the worker's handle on the child process that holds the pipeline: start, run, kill, restart.

The child's side is `worker/engine/__main__.py`; `worker/scheduling/isolation.py` splits failing batches.
"""

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from worker.engine.protocol import (
    Load,
    Loaded,
    LoadFailed,
    Raised,
    Ran,
    Reply,
    Run,
    Withdraw,
    Withdrawn,
    decode_reply,
    encode,
)
from worker.supervisor.connection import EngineConnection
from worker.supervisor.engine_process import EngineProcess
from worker.supervisor.guard import EngineGuard
from worker.supervisor.pending import Answered, EngineDied, PendingRequests
from worker.supervisor.pending_rows import PendingRows
from worker.supervisor.recycling import RecyclingPolicy, resident
from worker.supervisor.restarts import MAX_FAILURES, EngineLost, RestartPolicy

__all__ = ["Answered", "Engine", "EngineDied", "EngineLost", "EngineState"]

EngineState = Literal["loading", "ready", "busy", "restarting"]

log = structlog.get_logger()

DRAIN_SECONDS = 0.05
"""Seconds in which data that a child sent before it ended is still read."""


class Engine:
    """Runs one child process at a time. Calls of `start`, `send` and `restart` must not overlap.

    At most two batches may be unanswered: one computes, one is prepared. Answers come in the order of their
    requests. With continuous batching (`Loaded.slots`) rows are sent instead, and answered in any order.
    An answer to another request, or one that does not fit, ends the child, because it may belong to another
    request. Every process that the child has started ends with it: `guard.py`.
    """

    def __init__(self, spec: ModelSpec, source: Path | None, guard: EngineGuard | None = None) -> None:
        self.spec = spec
        self.source = source
        self.info: Loaded | None = None
        self.restart_reasons: Counter[str] = Counter()
        """Number of restarts by reason, one of `jobs.monitoring.roster.RESTART_REASONS`."""
        self.restart_policy = RestartPolicy()
        self.recycling = RecyclingPolicy(spec)
        self.state: EngineState = "loading"
        self.dead = False
        """Whether the child exited, or was killed because it hung, and none was started since."""
        self.on_event: Callable[[], object] = lambda: None
        """Called whenever a batch is answered or the engine died."""
        self.rows = PendingRows(self.hung)
        """Rows in the child, with continuous batching."""
        self._process: EngineProcess | None = None
        self._connection: EngineConnection | None = None
        self._guard = guard or EngineGuard()
        self._pending = PendingRequests(self.hung)
        self._death: EngineDied | None = None
        """Why the child was killed."""
        self._killed_for: int | None = None
        """The id of the request for which it was killed."""
        self._ended_by = "crashed"
        """The cause of its end as one word, one of `jobs.monitoring.roster.RESTART_REASONS`."""
        self._ending: asyncio.Task[str] | None = None
        """Waits for the end of a child that was not ended by `kill`."""
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def restarts(self) -> int:
        return self.restart_reasons.total()

    @property
    def crashed(self) -> bool:
        """Whether the child died by its own fault and not because of a batch."""
        return self._ended_by == "crashed"

    @property
    def connected(self) -> bool:
        """Whether the child can be given a batch: it is not known to have died."""
        return self._connection is not None

    async def start(self) -> Loaded:
        """Starts the child, loads the model and warms it up.

        Raises ConfigurationError if the model cannot be loaded, EngineDied if the child dies meanwhile.
        """
        self._process, ours = await EngineProcess.start(self._guard)
        connection = self._connection = EngineConnection(
            self._awaits, self._replied, self._protocol_error, self._lost
        )
        self.dead, self._death, self._ended_by, self._ending = False, None, "crashed", None
        self._watching = asyncio.create_task(self._watch(self._process, connection))
        await asyncio.get_running_loop().create_unix_connection(lambda: connection, sock=ours)
        request = Load(
            self.spec.model_dump_json(exclude_computed_fields=True).encode(),
            str(self.source) if self.source else None,
        )
        reply = await self._send(request, self.spec.load_timeout)
        if isinstance(reply, EngineDied):  # libraries may crash if they get no memory
            limit = self.spec.memory_limit
            message = f"{reply} (memory_limit = {limit} MiB)" if limit else str(reply)
            raise EngineDied(message, reply.kind)
        if isinstance(reply, LoadFailed):
            await self.kill()
            raise ConfigurationError(reply.message)
        assert isinstance(reply, Loaded)
        if (limit := self.spec.max_resident) is not None and (size := resident(self.pid)) > limit:
            await self.kill()  # it would be replaced after every batch
            raise ConfigurationError(
                f"model {self.spec.name!r} takes {size} MiB once loaded, more than max_resident = {limit}"
            )
        self.info = reply
        self.state = "ready"
        self.restart_policy.ready()
        self.recycling.begin()
        return reply

    async def restart(self, reason: str = "") -> None:
        """Replaces the child, with growing pauses if that fails; by default because it died or hung.

        Raises EngineLost if the model is to be retired.
        """
        reason = reason or self._ended_by
        self.restart_reasons[reason] += 1
        self.state = "restarting"
        self.restart_policy.began()
        if not self.dead:
            await self.kill()
        while True:
            await asyncio.sleep(self.restart_policy.pause)
            try:
                await self.start()
            except (EngineDied, ConfigurationError) as error:  # it did load before; memory may be short
                log.error("engine did not start", model=self.spec.name, error=str(error))
                if self.restart_policy.failed():
                    raise EngineLost(f"it failed to start {MAX_FAILURES} times in a row: {error}") from None
            else:
                log.info("engine restarted", model=self.spec.name, pid=self.pid, reason=reason)
                return

    def send(
        self,
        inputs: list[Any],
        parameters: dict[str, Any],
        *,
        alone: bool = False,
        seconds: float | None = None,
        links: Sequence[str] = (),
    ) -> Answered:
        """Sends the engine a micro-batch, to be computed after earlier ones; `alone`: none follows it yet.

        The answer is Ran, Raised, Withdrawn, or EngineDied after a crash or a hang: no answer within
        `seconds` (default `batch_timeout`) since it became the first unanswered batch. A batch behind one
        that died is answered Withdrawn.
        """
        self.state = "busy"
        return self._send(Run(inputs, parameters, alone, list(links)), seconds or self.spec.batch_timeout)

    def send_row(self, request: Run) -> int:
        """Sends a connected engine a row; returns the id of its request. `rows.on_reply` gets the answers."""
        self.state = "busy"
        request_id, frame = self.rows.add(request)
        if self._connection is not None:
            self._connection.write(frame)
        elif self.dead:
            fault = self._death or EngineDied("the engine died")
            asyncio.get_running_loop().call_soon(self.rows.died, fault)
        return request_id

    def withdraw_row(self, request_id: int) -> None:
        """Asks the child to drop a row; the answer says whether it had ended."""
        if self._connection is not None:
            self._connection.write(encode(request_id, Withdraw()))

    def interrupt(self, why: str) -> None:
        """Kills the child; the running batch is answered EngineDied."""
        self._kill_for_first(EngineDied(why), "cancelled")

    def withdraw(self) -> None:
        """Asks the child to skip the batch sent last, unless it has started; the answer says which."""
        if self._connection is not None and (latest := self._pending.latest) is not None:
            self._connection.write(encode(latest, Withdraw()))

    async def kill(self) -> str:
        """Kills the child and returns how it ended. Requests that were sent are not answered."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        self._pending.drop()
        self.rows.drop()
        if self._process is None:
            return "was not running"
        self._process.kill()
        if self._ending is None:
            return await self._process.ended()
        return await asyncio.shield(self._ending)  # otherwise it might mistake the next child for this one

    def _send(self, request: Load | Run, seconds: float) -> Answered:
        answered, frame = self._pending.add(request, seconds)
        if self._connection is not None:
            self._connection.write(frame)
        elif self.dead:  # otherwise it is dying, and answered afterwards
            asyncio.get_running_loop().call_soon(self._answer, self._death or EngineDied("the engine died"))
        return answered

    def _awaits(self, request_id: int) -> bool:
        return self._pending.awaits(request_id) or request_id in self.rows

    def _replied(self, request_id: int, body: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            reply = decode_reply(body)
            is_row = request_id in self.rows
            if self.rows.fits(request_id, reply) if is_row else self._pending.fits(reply):
                if isinstance(reply, Ran):
                    self.restart_policy.recovered()
                if isinstance(reply, Ran | Raised):
                    self.recycling.answered(len(reply.outputs) if isinstance(reply, Ran) else 0, self.pid)
                if is_row:
                    self.rows.take(request_id, reply)
                    self._settle_state()
                else:
                    self._answer(reply)
                return
        self._protocol_error()

    def _protocol_error(self) -> None:
        log.error("engine answer matches no request", model=self.spec.name, pid=self.pid)
        if self._connection is not None:
            self._connection.close()  # even a valid answer may come from the wrong process
        fault = "the engine's answers did not match its requests and it was killed"
        self._kill_for_first(EngineDied(fault), "crashed")

    def _answer(self, reply: Reply | EngineDied) -> None:
        self._pending.answer(reply)
        self._settle_state()
        self.on_event()

    def _settle_state(self) -> None:
        if self.state == "busy" and not (self._pending or self.rows):
            self.state = "ready"

    def hung(self, seconds: float) -> None:
        """Kills the child, which did not answer for so long."""
        what = f"the engine did not answer within {seconds:g} s and was killed"
        self._kill_for_first(EngineDied(what, "engine-timeout"), "hung")

    def _kill_for_first(self, fault: EngineDied, ended_by: str) -> None:
        """Kills the child for its first request; if that is still answered, the next one is not blamed."""
        assert self._process is not None
        if self._death is None:
            self._death, self._killed_for, self._ended_by = fault, self._pending.first, ended_by
        self._process.kill()

    async def _watch(self, process: EngineProcess, connection: EngineConnection) -> None:
        """Detects the end of a child whose socket is kept open by a process that it forked."""
        await process.wait()
        await asyncio.sleep(DRAIN_SECONDS)
        connection.close()

    def _lost(self, connection: EngineConnection) -> None:
        if connection is self._connection:  # otherwise `kill` has closed it
            self._connection = None
            assert self._process is not None
            self._ending = asyncio.get_running_loop().create_task(self._died(self._process))

    async def _died(self, process: EngineProcess) -> str:
        """Waits for a child that has closed its socket, and answers what it has not."""
        how = await process.exited()
        self.dead = True
        if self._death is None or self._killed_for == self._pending.first:
            self._answer(self._death or EngineDied(f"the engine {how}"))
        while self._pending:
            self._answer(Withdrawn())
        self.rows.died(self._death or EngineDied(f"the engine {how}"))
        self.on_event()
        return how
