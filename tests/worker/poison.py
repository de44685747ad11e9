"""A pipeline for the tests, with inputs that do what real ones only do at night."""

import ctypes
import os
import signal
import stat
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

LEAKED: list[bytearray] = []


class Poison:
    """Answers each text with its upper case and the size of its batch; some texts do harm."""

    warm_up = ("warm",)

    def __init__(self, source: Path | None = None, seconds: float = 0.0) -> None:
        self.seconds = seconds

    def __call__(self, inputs: list[str], factor: float = 1.0) -> list[Any]:
        time.sleep(self.seconds)
        return [self.one(text, len(inputs), factor) for text in inputs]

    def one(self, text: str, size: int, factor: float) -> Any:
        match text:
            case "raise":
                raise ValueError("this text is bad")
            case quoted if quoted.startswith("quote "):
                raise ValueError(quoted)
            case "die":
                ctypes.string_at(0)
            case "kill the worker":
                os.kill(os.getppid(), signal.SIGKILL)
                time.sleep(1000)  # the engine dies with it
            case "hang":
                time.sleep(1000)
            case gate if gate.startswith("until "):
                while not Path(gate.removeprefix("until ")).exists():
                    time.sleep(0.01)
            case "exhaust":
                return len([bytearray(256 << 20) for _ in range(1_000)])
            case "nan":
                return float("nan")
            case "object":
                return object()
            case "leak":
                LEAKED.append(bytearray(os.urandom(1 << 20)) * 64)
            case "fork raise" | "fork return" | "fork write" if os.fork() == 0:
                return self.forked(text)
            case "many":
                return {"text": "x" * 100_000}
        return {"text": text.upper(), "size": size, "factor": factor}

    def forked(self, text: str) -> Any:
        """What the child does: it raises, returns as if it were the engine, or writes to each socket."""
        if text == "fork raise":
            raise ValueError("raised in a forked child")
        if text == "fork write":
            for descriptor in range(3, 64):
                with suppress(OSError):
                    if stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                        os.write(descriptor, b"\0\0\0\4junk" * 16)
            os._exit(0)
        return {"text": "of a forked child", "size": 1, "factor": 1.0}
