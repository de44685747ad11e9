"""Forked children of the engine: a class may fork, and only the engine itself answers.

A child that returns from the class's code, or raises out of it, is a second engine on the same socket and
would answer in place of the first. It exits instead.
"""

import os

_ENGINE = os.getpid()


def shut_out(fd: int) -> None:
    """Replaces the descriptor by /dev/null in each child that `os.fork` makes from now on."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    os.register_at_fork(after_in_child=lambda: os.dup2(nowhere, fd, inheritable=False))


def leave_if_forked() -> None:
    """Ends this process unless it is the engine; native code may fork past the hook above."""
    if os.getpid() != _ENGINE:
        os._exit(0)
