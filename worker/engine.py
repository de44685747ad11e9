"""Engine: the worker's handle on the child process that holds the pipeline: start, run, kill, restart.

The child's side is `worker/engine_process.py`; `worker/isolation.py` takes failing batches apart.
"""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import msgspec
import structlog

from jobs import watchdog
from jobs.errors import BatchlineError, ConfigurationError
from jobs.exits import how_it_ended
from jobs.models import ModelSpec
from worker.exchange import Answered, EngineDied, Exchange
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

__all__ = ["RESTART_TRIES", "Answered", "BatchRaised", "Engine", "EngineDied", "EngineState"]

EngineState = Literal["loading", "ready", "busy", "restarting"]

log = structlog.get_logger()

RESTART_TRIES = 5
"""Starts in a row that may fail before the worker gives up and leaves its jobs to others."""


LAST_WORDS = 0.05
"""Seconds in which what a child sent before it ended is still read."""

QUIET = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""What libraries shall not do in an engine, unless its environment says otherwise."""


class BatchRaised(BatchlineError):
    """The pipeline raised on a batch; the engine lives."""


class Engine:
    """One child process at a time. `start`, `run` and `restart` come one after the other.

    Of what was sent, two batches may be without an answer: one computes, one is prepared. Answers come in the
    order of their requests. One that is not the first request's, or that does not fit it, ends the child: it
    cannot be known whose answer it is. Whatever the child has started ends with it; `guard` sees to it
    where this process is killed.
    """

    def __init__(self, spec: ModelSpec, source: Path | None, guard: watchdog.Watchdog | None = None) -> None:
        self.spec = spec
        self.source = source
        self.info: Loaded | None = None
        self.restarts = 0
        self.state: EngineState = "loading"
        self.dead = False
        """Whether the child ended by itself, or for a hang, and none was started since."""
        self.on_event: Callable[[], object] = lambda: None
        """Called whenever a batch is answered or the engine died."""
        self._process: asyncio.subprocess.Process | None = None
        self._link: Link | None = None
        self._guard = guard
        self._mark = ""
        self._exchange = Exchange(self._hung)
        self._fault: EngineDied | None = None
        """Why it was killed."""
        self._ending: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    @property
    def connected(self) -> bool:
        """Whether the child can be given a batch: it is not known to have died."""
        return self._link is not None

    async def start(self) -> Loaded:
        """Starts the child, loads the model and warms it up.

        Raises ConfigurationError when the model cannot be loaded, EngineDied when the child dies on the way.
        """
        ours, theirs = socket.socketpair()
        self._mark = watchdog.new_mark()
        with theirs:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "worker.engine_process",
                str(theirs.fileno()),
                str(os.getpid()),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # a Ctrl-C on the terminal is for the worker, not for its batch
                env={**QUIET, **os.environ, watchdog.MARK: self._mark},
            )
        if self._guard is not None:
            self._guard.add(self._process.pid, self._mark)
        link = self._link = Link(self._exchange.awaits, self._replied, self._out_of_step, self._lost)
        self.dead, self._fault = False, None
        self._watching = asyncio.create_task(self._watch(self._process, link))
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
        self.info = reply
        self.state = "ready"
        return reply

    async def restart(self) -> None:
        """Starts the child anew, with growing pauses where that fails. Raises EngineDied in the end."""
        self.restarts += 1
        self.state = "restarting"
        for attempt in range(RESTART_TRIES):
            try:
                await self.start()
            except (EngineDied, ConfigurationError) as error:  # it did load before: memory may be short
                log.error("engine did not start", model=self.spec.name, error=str(error), attempt=attempt + 1)
                await asyncio.sleep(min(0.2 * 2**attempt, 5.0))
            else:
                log.info("engine restarted", model=self.spec.name, pid=self.pid)
                return
        raise EngineDied(f"the engine of {self.spec.name!r} did not start {RESTART_TRIES} times in a row")

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
        self._fault = EngineDied(why)
        self._end_process()

    def withdraw(self) -> None:
        """Asks for the batch sent last not to be computed, unless it was begun; its answer says so."""
        if self._link is not None and (latest := self._exchange.latest) is not None:
            self._link.write(encode(latest, Withdraw()))

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
        self._exchange.drop()
        if self._process is None:
            return "was not running"
        self._end_process()
        return await self._ended()

    async def exited(self) -> str:
        """Waits until the child ends by itself, and says how it ended."""
        assert self._process is not None
        return how_it_ended(await self._process.wait())

    def _send(self, request: Load | Run, seconds: float) -> Answered:
        answered, frame = self._exchange.ask(request, seconds)
        if self._link is not None:
            self._link.write(frame)
        elif self.dead:  # else it is dying, and answered when that is done
            asyncio.get_running_loop().call_soon(self._answer, self._fault or EngineDied("the engine died"))
        return answered

    def _replied(self, body: bytes) -> None:
        with contextlib.suppress(msgspec.MsgspecError):
            reply = decode_reply(body)
            if self._exchange.fits(reply):
                self._answer(reply)
                return
        self._out_of_step()

    def _out_of_step(self) -> None:
        log.error("engine answered out of step", model=self.spec.name, pid=self.pid)
        self._fault = EngineDied("the engine's answers were out of step with its requests and it was killed")
        self._end_process()

    def _answer(self, reply: Reply | EngineDied) -> None:
        self._exchange.answer(reply)
        if not self._exchange and self.state == "busy":
            self.state = "ready"
        self.on_event()

    def _hung(self, seconds: float) -> None:
        what = f"the engine did not answer within {seconds:g} s and was killed"
        self._fault = EngineDied(what, "engine-timeout")
        self._end_process()

    def _end_process(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    async def _ended(self) -> str:
        """Waits for the child's end, ends what it has started, and says how it ended."""
        assert self._process is not None
        process, mark = self._process, self._mark
        how = how_it_ended(await process.wait())
        await asyncio.to_thread(watchdog.end, process.pid, mark)
        if self._guard is not None:
            self._guard.remove(process.pid)
        return how

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
                how = await self._ended()
        except TimeoutError:
            how = "closed its connection and was killed"
            self._end_process()
            await self._ended()
        self.dead = True
        self._answer(self._fault or EngineDied(f"the engine {how}"))
        while self._exchange:
            self._answer(Withdrawn())
