"""uvicorn's server with a shutdown that answers waiting requests. The application is in `api/app.py`."""

import asyncio
import socket
from collections.abc import Sequence
from functools import partial
from types import FrameType
from typing import Any, cast

import uvicorn
from fastapi import FastAPI

from api.edge.certificate import Certificate
from api.edge.client_deadlines import DeadlineProtocol
from api.edge.connections import Limits
from api.edge.state import EdgeState
from api.edge.tls import TlsProtocol
from jobs.errors import ConfigurationError
from jobs.process.signals import StopSignals
from jobs.store.connection import cancel

GRACE_SECONDS = 10
"""Seconds that running requests may take after the signal. Waiting requests are answered at once."""


def config(app: FastAPI, certificate: Certificate | None = None) -> uvicorn.Config:
    """uvicorn's configuration for the application. With a certificate it serves HTTPS, and no plain HTTP."""
    protocol = DeadlineProtocol if certificate is None else partial(_with_tls, certificate)
    return uvicorn.Config(
        app,
        loop="uvloop",
        http=cast(Any, protocol),  # uvicorn calls it like a class
        ws="none",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,  # uvicorn believes every process on this machine; see api/access/forwarding.py
        backlog=Limits.of_process().waiting,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )


def _with_tls(certificate: Certificate, **how: Any) -> TlsProtocol:
    """The protocol of one connection. uvicorn's own `ssl` would hide handshakes from it."""
    return TlsProtocol(certificate, DeadlineProtocol(**how))


class Server(uvicorn.Server):
    """Answers waiting requests before uvicorn waits for connections to close.

    uvicorn runs the lifespan's shutdown only after that, so a request that waits a minute would delay it by a
    minute.
    """

    def __init__(self, config: uvicorn.Config, certificate: Certificate | None = None) -> None:
        super().__init__(config)
        self._certificate = certificate
        self._signals = StopSignals()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begins an orderly stop at the first signal. A second one ends the process at once, as for a worker.

        uvicorn's own handler reacts only to a second SIGINT. It raises the signal again after a stop.
        """
        if self._signals.first(sig):
            self.should_exit = True

    async def main_loop(self) -> None:
        """Serves until a signal."""
        if self._certificate is None:
            await super().main_loop()
            return
        watching = asyncio.create_task(self._certificate.watch())
        try:
            await super().main_loop()
        finally:
            await cancel(watching)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        state: EdgeState = self.lifespan.state["edge"]
        state.release()
        await super().shutdown(sockets)


def listen(host: str, port: int) -> socket.socket:
    """A listening socket. Raises ConfigurationError if it cannot listen on the address."""
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
