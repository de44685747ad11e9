"""Engine: the worker's handle on the child process that holds the pipeline: start, run, kill, restart.

The child's side is `worker/engine_process.py`; `worker/isolation.py` takes failing batches apart.
"""

import asyncio
import contextlib
import os
import socket
import sys
from pathlib import Path
from typing import Any, Literal

import structlog

from jobs.errors import BatchlineError, ConfigurationError
from jobs.exits import how_it_ended
from jobs.models import ModelSpec
from worker.protocol import (
    LENGTH,
    MAX_FRAME,
    Load,
    Loaded,
    LoadFailed,
    Raised,
    Ran,
    Run,
    decode_reply,
    encode,
)

EngineState = Literal["loading", "ready", "busy", "restarting"]

log = structlog.get_logger()

RESTART_TRIES = 5
"""Starts in a row that may fail before the worker gives up and leaves its jobs to others."""


class EngineDied(BatchlineError):
    """The engine ended, or was killed because it did not answer in time. `kind` names the problem's type."""

    def __init__(self, message: str, kind: str = "engine-died") -> None:
        super().__init__(message)
        self.kind = kind


class BatchRaised(BatchlineError):
    """The pipeline raised on a batch; the engine lives."""


class Engine:
    """One child process at a time. The worker calls `start`, `run` and `restart` one after the other."""

    def __init__(self, spec: ModelSpec, source: Path | None) -> None:
        self.spec = spec
        self.source = source
        self.info: Loaded | None = None
        self.restarts = 0
        self.state: EngineState = "loading"
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    @property
    def pid(self) -> int | None:
        return self._process.pid if self._process else None

    async def start(self) -> Loaded:
        """Starts the child, loads the model and warms it up.

        Raises ConfigurationError when the model cannot be loaded, EngineDied when the child dies on the way.
        """
        ours, theirs = socket.socketpair()
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
                env={"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1", **os.environ},
            )
        self._reader, self._writer = await asyncio.open_connection(sock=ours)
        request = Load(
            self.spec.model_dump_json(exclude_computed_fields=True).encode(),
            str(self.source) if self.source else None,
        )
        try:
            reply = await self._ask(request, self.spec.load_timeout)
        except EngineDied as error:  # libraries that get no memory may take the process with them
            limit = self.spec.memory_limit
            told = f"{error} (memory_limit = {limit} MiB)" if limit else str(error)
            raise EngineDied(told, error.kind) from None
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

    async def run(self, inputs: list[Any], parameters: dict[str, Any]) -> Ran:
        """Runs one micro-batch. Raises BatchRaised when the pipeline did, EngineDied on a crash or a hang."""
        self.state = "busy"
        reply = await self._ask(Run(inputs, parameters), self.spec.batch_timeout)
        self.state = "ready"
        if isinstance(reply, Raised):
            raise BatchRaised(reply.detail)
        assert isinstance(reply, Ran)
        return reply

    async def kill(self) -> str:
        """Ends the child at once, whatever it does, and says how it ended."""
        if self._writer is not None:
            self._writer.close()
        if self._process is None:
            return "was not running"
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return how_it_ended(await self._process.wait())

    async def exited(self) -> str:
        """Waits until the child ends by itself, and says how it ended."""
        assert self._process is not None
        return how_it_ended(await self._process.wait())

    async def _ask(self, request: Load | Run, seconds: float) -> Loaded | LoadFailed | Ran | Raised:
        assert self._writer is not None
        assert self._reader is not None
        try:
            async with asyncio.timeout(seconds):
                self._writer.write(encode(request))
                await self._writer.drain()
                (length,) = LENGTH.unpack(await self._reader.readexactly(LENGTH.size))
                if length > MAX_FRAME:
                    raise EngineDied("the engine's answer is garbled")
                return decode_reply(await self._reader.readexactly(length))
        except TimeoutError:
            await self.kill()
            raise EngineDied(
                f"the engine did not answer within {seconds:g} s and was killed", "engine-timeout"
            ) from None
        except (asyncio.IncompleteReadError, ConnectionError):
            raise EngineDied(f"the engine {await self._ended()}") from None

    async def _ended(self) -> str:
        """Waits for a child that has closed its socket; one that lingers is killed."""
        assert self._process is not None
        try:
            async with asyncio.timeout(2.0):
                how = how_it_ended(await self._process.wait())
        except TimeoutError:
            how = "closed its connection and was killed"
        await self.kill()
        return how
