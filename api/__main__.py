"""`batchline api`, or `python -m api`: loads settings, checks Redis, and runs the server until a signal."""

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

import structlog

from api.access.access import OPEN, is_open
from api.app import create_app
from api.edge import processes
from api.edge.certificate import certificate_of
from api.edge.connections import raise_limit
from api.edge.server import Server, config, listen
from jobs.errors import ConfigurationError
from jobs.monitoring import traces
from jobs.process import heap, logs
from jobs.process.orphans import die_with
from jobs.settings import Settings, load_settings
from jobs.store.check import check
from jobs.variables import warn_of_unknown

log = structlog.get_logger("api")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs until SIGTERM or SIGINT. Returns exit status 1 if the configuration is invalid."""
    arguments = _parser().parse_args(argv)
    if arguments.shared:
        descriptor, parent = arguments.shared
        die_with(parent)
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        return serve(settings, socket.socket(fileno=descriptor))
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        warn_of_unknown(log.warning)
        warn_of_access(settings)
        create_app(settings)  # reports errors before the server listens
        certificate_of(settings)
        asyncio.run(check(settings))
        listener = listen(settings.host, settings.port)
    except ConfigurationError as error:
        print(f"batchline: {error}", file=sys.stderr)  # noqa: T201 - for the operator, not a log line
        return 1
    log.info(
        "serving",
        url=f"{settings.scheme}://{settings.host}:{settings.port}",
        processes=settings.api_processes,
    )
    if settings.api_processes > 1:
        status = processes.serve(listener, settings.api_processes)
    else:
        status = serve(settings, listener)
    log.info("stopped")
    return status


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchline api",
        description="Serve the HTTP interface and the pages.",
        epilog="It listens on BATCHLINE_HOST and BATCHLINE_PORT, and reads BATCHLINE_MODELS_FILE.",
    )
    # one of several processes on a port: see api/edge/processes.py
    parser.add_argument("--shared", nargs=2, type=int, metavar=("FD", "PID"), help=argparse.SUPPRESS)
    return parser


def warn_of_access(settings: Settings) -> None:
    """Logs settings that let in more, or fewer, than was probably meant."""
    if is_open(settings):
        log.warning(OPEN, host=settings.host)
    if (
        settings.auth == "off"
        and not settings.owner_header
        and (settings.admin_key or settings.admin_key_file)
    ):
        log.warning("the admin key is not used: BATCHLINE_AUTH is off")


def serve(settings: Settings, listener: socket.socket) -> int:
    """Serves requests in this process."""
    traces.configure("api")
    raise_limit()
    certificate = certificate_of(settings)
    server = Server(config(create_app(settings), certificate), certificate)
    heap.return_large_blocks()
    heap.settle()
    # uvicorn installs its own handlers only when it runs
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    server.run(sockets=[listener])
    return 0


if __name__ == "__main__":
    sys.exit(main())
