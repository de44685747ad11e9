"""uvicorn's server, with a shutdown that hangs nobody. The application is in `api/app.py`."""

import socket
from collections.abc import Sequence
from types import FrameType

import uvicorn
from fastapi import FastAPI

from api.edge.client_deadlines import DeadlineProtocol
from api.edge.connections import Limits
from api.edge.state import EdgeState
from jobs.errors import ConfigurationError
from jobs.process.signals import StopSignals

GRACE = 10
"""Seconds that running requests may take after the signal; waiting ones need none."""


def config(app: FastAPI) -> uvicorn.Config:
    """How the application is served."""
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=DeadlineProtocol,
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        backlog=Limits.of_process().waiting,
        timeout_graceful_shutdown=GRACE,
    )


class Server(uvicorn.Server):
    """Answers the parked requests before uvicorn waits for connections to drain.

    uvicorn runs the lifespan's shutdown only after that, so a wait of a minute would hold it for a minute.
    """

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._signals = StopSignals()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal asks for an orderly stop; a second ends the process at once, as it does a worker.

        uvicorn's own would heed only a second SIGINT, and raise the signal again after an orderly stop.
        """
        if self._signals.first(sig):
            self.should_exit = True

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state: EdgeState = self.lifespan.state["edge"]
        state.release()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError when the address cannot be had."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _bound(family, address)
    except OSError as error:
        raise ConfigurationError(f"cannot listen on {host}:{port}: {error.strerror}") from None


def _bound(family: int, address: Sequence[object]) -> socket.socket:
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(tuple(address))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener
