"""Starts an engine's process with a socket to it; the process runs `worker/engine/__main__.py`."""

import asyncio
import os
import socket

from jobs.process.programs import command
from jobs.process.watchdog import MARK
from worker.supervisor.pending import EngineDied

QUIET_LIBRARIES = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""Features of libraries that are off in an engine, unless its environment sets them."""


async def spawn(mark: str) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """Returns the process, whose environment carries the mark, and the worker's end of its socket.

    Raises EngineDied if the system has no process, descriptor or memory left for it.
    """
    try:
        ours, theirs = socket.socketpair()
    except OSError as error:
        raise EngineDied(f"the engine could not be started: {error.strerror}") from None
    try:
        with theirs:
            process = await asyncio.create_subprocess_exec(
                *command("worker.engine", str(theirs.fileno()), str(os.getpid())),
                stdin=asyncio.subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                start_new_session=True,  # Ctrl-C must stop the worker, not its batch
                env={**QUIET_LIBRARIES, **os.environ, MARK: mark},
            )
    except BaseException as error:
        ours.close()
        if isinstance(error, OSError):
            raise EngineDied(f"the engine could not be started: {error.strerror}") from None
        raise
    return process, ours
