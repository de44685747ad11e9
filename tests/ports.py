"""Ports for the servers that tests start, each given to one test process only."""

import random
import socket
from collections import deque
from contextlib import suppress

PORTS = range(10_000, 20_000)
"""With those of the bus below the ports that the system gives to clients' connections, so that no client
takes the port of a server that starts late or is down for a while."""
BUS = 10_000
"""A cluster's node also listens on the port above by this number."""

_claims: deque[socket.socket] = deque(maxlen=256)
"""UDP sockets on the latest ports: another test process, which could otherwise be given the same port before
a server listens there, cannot bind them. The system releases them when this process ends."""


def free_port() -> int:
    """A port that nobody listens on, nor on that of its bus, and that no other test process is given."""
    while True:
        port = random.choice(PORTS)
        claim = socket.socket(type=socket.SOCK_DGRAM)
        with socket.socket() as probe, socket.socket() as bus, suppress(OSError):
            claim.bind(("127.0.0.1", port))
            probe.bind(("127.0.0.1", port))
            bus.bind(("127.0.0.1", port + BUS))
            _claims.append(claim)
            return port
        claim.close()
