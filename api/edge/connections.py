"""The process's connections, as many as its limit of open files allows with some to spare.

At that limit the system accepts no connection, and the event loop's library resets new ones without a word.
"""

import math
import resource
import time
from typing import NamedTuple, Protocol

import structlog

log = structlog.get_logger(__name__)

RESERVED = 100
"""Descriptors that connections leave free: up to 64 for Redis, the rest for files, pipes and the listener."""
WANTED = 65_536
"""Descriptors that the process asks for, where its hard limit has them."""
MOST_WAITING = 2_048
"""Connections that may wait to be accepted, for they come all at once."""
FEWEST = 16
"""Connections that are served whatever the limit is."""
FRESH = 1.0
"""Seconds that a connection is left alone after it came or was answered: its client is about to ask."""
LOG_EVERY = 60.0
"""Seconds between two lines about the limit."""


class Connection(Protocol):
    """What is asked of a connection at the limit."""

    def has_unsent(self) -> bool:
        """Whether its client has not taken all of an answer."""

    def hang_up(self) -> None:
        """Ends it."""

    def refuse(self) -> None:
        """Answers 503 whatever it asks, and ends it once the client has read that."""


class Limits(NamedTuple):
    """How the process's descriptors are shared out."""

    served: int
    """Connections that are served."""
    waiting: int
    """Connections that may wait to be accepted; and as many that were refused may be open."""

    @classmethod
    def of_process(cls) -> "Limits":
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        free = (WANTED if soft == resource.RLIM_INFINITY else soft) - RESERVED
        waiting = max(FEWEST, min(MOST_WAITING, free // 6))
        return cls(max(FEWEST, free - 2 * waiting), waiting)


class Connections:
    """At the limit the connection that has been idle longest makes room for a new one, or that is refused.

    Idle is one that waits for a request, has sent a part of a head only, or sends what nobody wants.
    """

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._open = 0
        self._idle: dict[Connection, float] = {}
        """Since when, by the monotonic clock; the one that has been idle longest is the first."""
        self._refused: dict[Connection, None] = {}
        self._logged = -math.inf

    def opened(self, connection: Connection) -> None:
        self._open += 1
        if self._open - len(self._refused) <= self._limits.served or self._ends_idle():
            self._idle[connection] = time.monotonic()
        else:
            self._refuse(connection)

    def closed(self, connection: Connection) -> None:
        self._open -= 1
        self._idle.pop(connection, None)
        self._refused.pop(connection, None)

    def busy(self, connection: Connection) -> None:
        """A request's head has come."""
        self._idle.pop(connection, None)

    def idle(self, connection: Connection) -> None:
        """Its request was answered."""
        self._idle[connection] = time.monotonic()

    def _ends_idle(self) -> bool:
        """Ends the connection that has been idle longest, if there is one."""
        latest = time.monotonic() - FRESH
        for connection, since in self._idle.items():
            if since > latest:
                break
            if not connection.has_unsent():
                self._log("closing idle ones")
                del self._idle[connection]
                connection.hang_up()
                return True
        return False

    def _refuse(self, connection: Connection) -> None:
        self._log("refusing new ones")
        if len(self._refused) >= self._limits.waiting:
            oldest = next(iter(self._refused))
            del self._refused[oldest]
            oldest.hang_up()
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
    """Asks for as many descriptors as the process may have without being privileged, up to WANTED."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED if hard == resource.RLIM_INFINITY else min(WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
