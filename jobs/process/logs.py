"""Logging configuration of API and worker: structlog for our lines, the same format for libraries."""

import logging
import sys

import structlog

from jobs.process.redaction import redacted

QUIET_LIBRARIES = ("httpx", "httpx2", "httpcore", "asyncio", "uvicorn.error", "arq")
"""Libraries of which only warnings and errors are logged."""


def debugging() -> bool:
    """Returns whether debug lines are written. Check it before per-job lines, because a call costs more."""
    return logging.getLogger().isEnabledFor(logging.DEBUG)


def configure(level: str, layout: str) -> None:
    """Sends all lines to stderr. `level` and `layout` are the settings `log_level` and `log_format`."""
    coloured = layout == "console" or (layout == "auto" and sys.stderr.isatty())
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[structlog.typing.Processor] = (
        [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(),
                # the default prints local variables, which takes seconds and may reveal jobs' inputs
                exception_formatter=structlog.dev.plain_traceback,
            )
        ]
        if coloured
        else [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *last,
                lambda _logger, _method, line: redacted(str(line)),
            ],
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in QUIET_LIBRARIES:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLogger().level))
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
