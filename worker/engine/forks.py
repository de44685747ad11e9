"""Forked children of the engine: a class may fork, but only the engine itself may answer.

A child that returns from the class's code, or raises out of it, would be a second engine on the same socket
and would answer in place of the first. It exits instead.
"""

import os

_ENGINE = os.getpid()


def close_in_children(fd: int) -> None:
    """Replaces the descriptor by /dev/null in each child that `os.fork` creates from now on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.register_at_fork(after_in_child=lambda: os.dup2(nowhere, fd, inheritable=False))


def exit_if_forked() -> None:
    """Exits unless this process is the engine; native code may fork without the hook above."""
    if os.getpid() != _ENGINE:
        os._exit(0)
