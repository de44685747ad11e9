"""A class that disturbs the engine it runs in: it forks, and it writes to descriptors that are not its own.

The first word of an input is what its batch does:

return, raise, exit, other    forks a child that does so; `other` returns other outputs
libc, blocked                 as `other`, by a fork that hooks do not see, with and without the interpreter's
                              lock: the child may wait for ever for a thread that it does not have
garbage, replay               writes bytes, or a whole answer, to each socket of the engine
scribble                      forks a child that writes to the numbers of the engine's sockets
leave, daemon                 forks a child that stays, `daemon` in a session of its own; the output is its id
stranger, orphan              starts a program that stays, in a session and an environment of its own; the
                              parent of an `orphan` has ended

For every other word the outputs are the inputs.
"""

import ctypes
import os
import signal
import socket
import stat
import subprocess
import sys
import time
from contextlib import suppress
from typing import Any

from worker.engine import protocol

SLEEP = ["/bin/sleep", "600"]


class Disorderly:
    def __init__(self, source: object = None, fork: bool = False, **_: object) -> None:
        if fork and os.fork() == 0:
            return  # two processes have this instance now

    def __call__(self, inputs: list[str]) -> list[Any]:
        outputs: list[Any] = list(inputs)
        for deed in dict.fromkeys(text.split()[0] for text in inputs):
            match deed:
                case "return" | "raise" | "exit" | "other":
                    outputs = self._fork(deed, outputs, os.fork())
                case "libc":
                    outputs = self._fork("other", outputs, ctypes.PyDLL(None).fork())
                case "blocked":
                    outputs = self._fork("other", outputs, ctypes.CDLL(None).fork())
                case "garbage":
                    for fd in sockets():
                        os.write(fd, b"a line that was meant for a log\n")
                case "replay":
                    answer = protocol.Ran([b'"wrong"'] * len(inputs), 1.0, 0.0, None, None)
                    for fd in sockets():
                        os.write(fd, protocol.encode(1, answer))
                case "scribble":
                    scribble(sockets())
                case "stranger":
                    outputs = [subprocess.Popen(SLEEP, env={}, start_new_session=True).pid for _ in inputs]
                case "orphan":
                    outputs = [orphan() for _ in inputs]
                case "leave":
                    outputs = [stay() for _ in inputs]
                case "daemon":
                    outputs = [stay(session=True) for _ in inputs]
        return outputs

    def _fork(self, deed: str, outputs: list[Any], pid: int) -> list[Any]:
        if pid:
            time.sleep(0.05)  # the child comes first, if it comes at all
            return outputs
        if deed == "raise":
            raise ValueError("in the child")
        if deed == "exit":
            sys.exit(0)
        return ["wrong" for _ in outputs] if deed == "other" else outputs


def stay(session: bool = False) -> int:
    """Forks a process that keeps running, optionally in its own session, and returns its id."""
    pid = os.fork()
    if pid:
        return pid
    if session:
        os.setsid()
    while True:
        signal.pause()


def scribble(fds: list[int]) -> None:
    """Forks a child that writes to these descriptors, and waits for its end."""
    pid = os.fork()
    if not pid:
        for fd in fds:
            with suppress(OSError):
                os.write(fd, b"a line that was meant for a log\n")
        os._exit(0)
    os.waitpid(pid, 0)


def orphan() -> int:
    """Starts a program whose parent ends at once, and returns its id."""
    parent = ["/bin/sh", "-c", f"{' '.join(SLEEP)} >/dev/null & echo $!"]
    return int(subprocess.run(parent, env={}, start_new_session=True, stdout=subprocess.PIPE).stdout)


def sockets() -> list[int]:
    """Descriptors of this process's sockets."""
    fds = [int(name) for name in os.listdir("/proc/self/fd")]  # noqa: PTH208 - a plain name is what is needed
    return [fd for fd in fds if fd > 2 and is_connected(fd)]


def is_connected(fd: int) -> bool:
    try:
        if not stat.S_ISSOCK(os.fstat(fd).st_mode):
            return False
        with socket.socket(fileno=os.dup(fd)) as copy:
            copy.getpeername()
    except OSError:
        return False
    return True
