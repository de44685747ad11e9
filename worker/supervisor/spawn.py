"""Starts an engine's process, with a socket to it; what it does then is in `worker/engine/__main__.py`."""

import asyncio
import os
import socket

from jobs.process.programs import command
from jobs.process.watchdog import MARK
from worker.supervisor.pending import EngineDied

QUIET = {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_DISABLE_TELEMETRY": "1"}
"""What libraries shall not do in an engine, unless its environment says otherwise."""


async def spawn(mark: str) -> tuple[asyncio.subprocess.Process, socket.socket]:
    """The process, whose environment carries the mark, and the worker's end of its socket.

    Raises EngineDied when the system has no process, descriptor or memory left for it.
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
                start_new_session=True,  # a Ctrl-C on the terminal is for the worker, not for its batch
                env={**QUIET, **os.environ, MARK: mark},
            )
    except BaseException as error:
        ours.close()
        if isinstance(error, OSError):
            raise EngineDied(f"the engine could not be started: {error.strerror}") from None
        raise
    return process, ours
