"""`python -m api`: settings, logs, a look at Redis, then the server until a signal comes."""

import asyncio
import signal
import sys

import structlog

from api.app import create_app
from api.server import Server, config, listen
from jobs import connection, logs
from jobs.errors import ConfigurationError
from jobs.settings import load_settings

log = structlog.get_logger("api")


def main() -> int:
    """Runs until SIGTERM or SIGINT; the exit status is 1 where the configuration cannot work."""
    try:
        settings = load_settings()
        logs.configure(settings.log_level, settings.log_format)
        app = create_app(settings)
        asyncio.run(connection.check(settings))
        listener = listen(settings.host, settings.port)
    except ConfigurationError as error:
        print(f"batchline: {error}", file=sys.stderr)  # noqa: T201 - for a person, before there are logs
        return 1
    server = Server(config(app))
    # uvicorn takes over only once it runs
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, server.handle_exit)
    log.info("serving", url=f"http://{settings.host}:{settings.port}")
    server.run(sockets=[listener])
    log.info("stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
