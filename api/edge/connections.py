"""Limits the number of connections to what the process's limit of open files allows, minus a reserve.

At the limit of open files itself no connection can be accepted, and libuv resets new ones without an answer.
"""

import math
import resource
import time
from typing import NamedTuple, Protocol

import structlog

log = structlog.get_logger(__name__)

RESERVED = 100
"""Descriptors not used for connections: up to 64 for Redis, the rest for files, pipes and the listener."""
MAX_DESCRIPTORS = 65_536
"""Descriptors that the process requests, if its hard limit allows."""
MAX_WAITING = 2_048
"""Maximum connections that may wait to be accepted. Many clients may connect at the same moment."""
MIN_CONNECTIONS = 16
"""Minimum connections that are served, whatever the limit is."""
FRESH = 1.0
"""Seconds after its start or last answer in which a connection is not closed: a request is likely."""
LOG_EVERY = 60.0
"""Seconds between two log lines about the limit."""


class Connection(Protocol):
    """The methods of a connection that are called at the limit."""

    def has_unsent(self) -> bool:
        """Whether part of an answer has not been sent."""

    def disconnect(self) -> None:
        """Closes the connection."""

    def refuse(self) -> None:
        """Answers 503 to any request and closes the connection once the client has read the answer."""


class Limits(NamedTuple):
    """How many of the process's descriptors are used for which connections."""

    served: int
    """Maximum connections that are served."""
    waiting: int
    """Maximum connections that may wait to be accepted, and maximum refused ones that may be open."""

    @classmethod
    def of_process(cls) -> "Limits":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = (MAX_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft) - RESERVED
        waiting = max(MIN_CONNECTIONS, min(MAX_WAITING, free // 6))
        return cls(max(MIN_CONNECTIONS, free - 2 * waiting), waiting)


class Connections:
    """Counts connections. At the limit, closes the longest idle one for a new one, or refuses the new one.

    A connection is idle if it waits for a request, has sent only part of a head, or sends a refused body.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open = 0
        self._idle: dict[Connection, float] = {}
        """Since when each is idle, in monotonic seconds. The longest idle connection is the first."""
        self._refused: dict[Connection, None] = {}
        self._logged = -math.inf

    def opened(self, connection: Connection) -> None:
        self._open += 1
        if self._open - len(self._refused) <= self._limits.served or self._close_idle():
            self._idle[connection] = time.monotonic()
        else:
            self._refuse(connection)

    def closed(self, connection: Connection) -> None:
        self._open -= 1
        self._idle.pop(connection, None)
        self._refused.pop(connection, None)

    def busy(self, connection: Connection) -> None:
        """Notes that a request's head was received."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Notes that the connection's request was answered."""
        self._idle[connection] = time.monotonic()

    def _close_idle(self) -> bool:
        """Closes the longest idle connection. Returns whether there was one."""
        latest = time.monotonic() - FRESH
        for connection, since in self._idle.items():
            if since > latest:
                break
            if not connection.has_unsent():
                self._log("closing idle connections")
                del self._idle[connection]
                connection.disconnect()
                return True
        return False

    def _refuse(self, connection: Connection) -> None:
        self._log("refusing new connections")
        if len(self._refused) >= self._limits.waiting:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            oldest.disconnect()
        self._refused[connection] = None
        connection.refuse()

    def _log(self, action: str) -> None:
        if time.monotonic() - self._logged > LOG_EVERY:
            self._logged = time.monotonic()
            log.warning(
                "too many connections",
                connections=self._limits.served,
                action=action,
                advice="raise the limit of open files: ulimit -n, LimitNOFILE=, --ulimit nofile=",
            )


def raise_limit() -> None:
    """Raises the soft limit of open files to the hard limit, up to MAX_DESCRIPTORS."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(MAX_DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
