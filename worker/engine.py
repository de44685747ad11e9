"""Engine: the worker's handle on the child process that holds the pipeline: start, run, kill, restart.

The child's side is `worker/engine_process.py`; `worker/isolation.py` takes failing batches apart.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections import Counter, deque
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from jobs.errors import BatchlineError, ConfigurationError
from jobs.exits import how_it_ended
from jobs.models import ModelSpec
from worker.ladder import TRIES, Ladder
from worker.link import Link
from worker.protocol import (
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
from worker.wear import Wear, resident

EngineState = Literal["loading", "ready", "busy", "restarting"]

log = structlog.get_logger()

LAST_WORDS = 0.05
"""Seconds in which what a child sent before it ended is still read."""


class EngineDied(BatchlineError):
    """The engine ended, or was killed because it did not answer in time. `kind` names the problem's type."""

    def __init__(self, message: str, kind: str = "engine-died") -> None:
        super().__init__(message)
        self.kind = kind


class EngineLost(BatchlineError):
    """The engine cannot be kept alive, whatever it is given: its model is to be retired."""


class BatchRaised(BatchlineError):
    """The pipeline raised on a batch; the engine lives."""


Answered = asyncio.Future[Reply | EngineDied]
"""A reply, or why the engine died before it; of several that had none, only the first is told so."""


class Engine:
    """One child process at a time. `start`, `run` and `restart` come one after the other.

    Of what was sent, two batches may be without an answer: one computes, one is prepared.
    """

    def __init__(self, spec: ModelSpec, source: Path | None) -> None:
        self.spec = spec
        self.source = source
        self.info: Loaded | None = None
        self.restart_reasons: Counter[str] = Counter()
        """Restarts by reason, one of `jobs.workers.RESTARTS`."""
        self.ladder = Ladder()
        self.wear = Wear(spec)
        self.state: EngineState = "loading"
        self.dead = False
        """Whether the child ended by itself, or for a hang, and none was started since."""
        self.on_event: Callable[[], object] = lambda: None
        """Called whenever a batch is answered or the engine died."""
        self._process: asyncio.subprocess.Process | None = None
        self._link: Link | None = None
        self._unanswered: deque[tuple[Answered, float]] = deque()
        """With the seconds that each may take."""
        self._timer: asyncio.TimerHandle | None = None
        self._fault: EngineDied | None = None
        """Why it was killed."""
        self._ended_by = "crashed"
        """The same in one word, one of `jobs.workers.RESTARTS`."""
        self._ending: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def restarts(self) -> int:
        return self.restart_reasons.total()

    @property
    def connected(self) -> bool:
        """Whether the child can be given a batch: it is not known to have died."""
        return self._link is not None

    async def start(self) -> Loaded:
        """Starts the child, loads the model and warms it up.

        Raises ConfigurationError when the model cannot be loaded, EngineDied when the child dies on the way.
        """
        try:
            ours, process = await self._spawn()
        except OSError as error:  # no process, descriptor or memory is left for it
            raise EngineDied(f"no engine can be started: {error.strerror}") from None
        link = self._link = Link(self._replied, self._lost)
        self.dead, self._fault, self._ended_by = False, None, "crashed"
        self._watching = asyncio.create_task(self._watch(process, link))
        await asyncio.get_running_loop().create_unix_connection(lambda: link, sock=ours)
        request = Load(
            self.spec.model_dump_json(exclude_computed_fields=True).encode(),
            str(self.source) if self.source else None,
        )
        reply = await self._send(request, self.spec.load_timeout)
        if isinstance(reply, EngineDied):  # libraries that get no memory may take the process with them
            limit = self.spec.memory_limit
            told = f"{reply} (memory_limit = {limit} MiB)" if limit else str(reply)
            raise EngineDied(told, reply.kind)
        if isinstance(reply, LoadFailed):
            await self.kill()
            raise ConfigurationError(reply.message)
        assert isinstance(reply, Loaded)
        if (most := self.spec.max_resident) is not None and (size := resident(self.pid)) > most:
            await self.kill()  # it would be replaced after every batch
            raise ConfigurationError(
                f"model {self.spec.name!r} takes {size} MiB once loaded, more than max_resident = {most}"
            )
        self.info = reply
        self.state = "ready"
        self.ladder.ready()
        self.wear.begin()
        return reply

    async def _spawn(self) -> tuple[socket.socket, asyncio.subprocess.Process]:
        """Starts the child; returns the worker's end of its socket as well."""
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "worker.engine_process",
                str(theirs.fileno()),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C on the terminal is for the worker, not for its batch
                env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1", **os.environ},
            )
        return ours, process

    async def restart(self, reason: str = "") -> None:
        """Replaces the child, with growing pauses where that fails; by default because it died or hung.

        Raises EngineLost when the model is to be retired.
        """
        reason = reason or self._ended_by
        self.restart_reasons[reason] += 1
        self.state = "restarting"
        if self.connected:
            await self.kill()
        while True:
            await asyncio.sleep(self.ladder.pause)
            try:
                await self.start()
            except (EngineDied, ConfigurationError) as error:  # it did load before: memory may be short
                log.error("engine did not start", model=self.spec.name, error=str(error))
                if self.ladder.failed():
                    raise EngineLost(f"it could not be started {TRIES} times in a row: {error}") from None
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
    ) -> Answered:
        """Gives the engine a micro-batch, to be computed after what it has; `alone`: none follows it yet.

        Answered with Ran, Raised, Withdrawn, or EngineDied for a crash, or a hang of `seconds` (by default
        `batch_timeout`) from when it was the first unanswered one. What stood behind a batch that died is
        answered Withdrawn.
        """
        self.state = "busy"
        return self._send(Run(inputs, parameters, alone), seconds or self.spec.batch_timeout)

    def interrupt(self, why: str) -> None:
        """Ends the child in the middle of what it does; the batch that runs is answered EngineDied."""
        self._fault, self._ended_by = EngineDied(why), "cancelled"
        self._end_process()

    def withdraw(self) -> None:
        """Asks for the batch sent last not to be computed, unless it was begun; its answer says so."""
        if self._link is not None:
            self._link.write(encode(Withdraw()))

    async def run(self, inputs: list[Any], parameters: dict[str, Any]) -> Ran:
        """Runs one micro-batch. Raises BatchRaised when the pipeline did, EngineDied on a crash or a hang."""
        reply = await self.send(inputs, parameters)
        if isinstance(reply, EngineDied):
            raise reply
        if isinstance(reply, Raised):
            raise BatchRaised(reply.detail)
        assert isinstance(reply, Ran)
        return reply

    async def kill(self) -> str:
        """Ends the child at once, whatever it does, and says how it ended. What was sent is not answered."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
        self._unanswered.clear()
        self._rearm()
        if self._process is None:
            return "was not running"
        self._end_process()
        return how_it_ended(await self._process.wait())

    async def exited(self) -> str:
        """Waits until the child ends by itself, and says how it ended."""
        assert self._process is not None
        return how_it_ended(await self._process.wait())

    def _send(self, request: Load | Run, seconds: float) -> Answered:
        answered: Answered = asyncio.get_running_loop().create_future()
        self._unanswered.append((answered, seconds))
        if self._link is not None:
            self._link.write(encode(request))
            if len(self._unanswered) == 1:
                self._rearm()
        elif self.dead:  # else it is dying, and answered when that is done
            asyncio.get_running_loop().call_soon(self._answer, self._fault or EngineDied("the engine died"))
        return answered

    def _replied(self, body: bytes) -> None:
        try:
            reply = decode_reply(body)
        except msgspec.MsgspecError:
            self._fault = EngineDied("the engine's answer is garbled")
            self._end_process()
        else:
            if isinstance(reply, Ran):
                self.ladder.recovered()
            if isinstance(reply, Ran | Raised):
                self.wear.answered(len(reply.outputs) if isinstance(reply, Ran) else 0, self.pid)
            self._answer(reply)

    def _answer(self, reply: Reply | EngineDied) -> None:
        if self._unanswered:
            answered, _ = self._unanswered.popleft()
            if not answered.done():  # else whoever waited was cancelled
                answered.set_result(reply)
        if not self._unanswered and self.state == "busy":
            self.state = "ready"
        self._rearm()
        self.on_event()

    def _rearm(self) -> None:
        """The time of the first unanswered request begins now; before, the engine had others to do."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._unanswered:
            seconds = self._unanswered[0][1]
            self._timer = asyncio.get_running_loop().call_later(seconds, self._hung, seconds)

    def _hung(self, seconds: float) -> None:
        what = f"the engine did not answer within {seconds:g} s and was killed"
        self._fault, self._ended_by = EngineDied(what, "engine-timeout"), "hung"
        self._end_process()

    def _end_process(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _watch(self, process: asyncio.subprocess.Process, link: Link) -> None:
        """A child may have left the socket to one that it forked: then nobody hears of its end but so."""
        await process.wait()
        await asyncio.sleep(LAST_WORDS)
        link.close()

    def _lost(self, link: Link) -> None:
        if link is self._link:  # else it was `kill` that closed it
            self._link = None
            self._ending = asyncio.get_running_loop().create_task(self._died())

    async def _died(self) -> None:
        """Waits for a child that has closed its socket; one that lingers is killed."""
        assert self._process is not None
        try:
            async with asyncio.timeout(2.0):
                how = how_it_ended(await self._process.wait())
        except TimeoutError:
            how = "closed its connection and was killed"
            self._end_process()
            await self._process.wait()
        self.dead = True
        self._answer(self._fault or EngineDied(f"the engine {how}"))
        while self._unanswered:
            self._answer(Withdrawn())
