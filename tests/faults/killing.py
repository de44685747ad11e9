"""SIGKILL for workers and engines, and the time until the inputs that they were running run again."""

import asyncio
import os
import signal
import subprocess
import time
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from tests.faults.stack import Stack, engine_of

What = Literal["engine", "worker", "both"]


@dataclass(frozen=True)
class Kill:
    """A worker's engine always dies with it: `both` kills it first, `worker` leaves that to the kernel."""

    what: What
    at: float
    """Seconds of the monotonic clock."""
    engine: int | None


async def kill(victim: subprocess.Popen[bytes], what: What) -> Kill:
    killed = Kill(what, time.monotonic(), engine_of(victim))
    if what != "worker" and killed.engine is not None:
        with suppress(ProcessLookupError):
            os.kill(killed.engine, signal.SIGKILL)
    if what != "engine":
        victim.kill()
        await asyncio.to_thread(victim.wait, 10)
    return killed


def recoveries(stack: Stack, kills: list[Kill]) -> dict[str, list[float]]:
    """Seconds until each input that the killed engine was running ran again, by what was killed."""
    found: defaultdict[str, list[float]] = defaultdict(list)
    runs = stack.runs()
    for killed in kills:
        before = [run for run in runs if run.engine == killed.engine and run.at < killed.at]
        begun = {run.nonce for run in before if run.at == before[-1].at}
        again: dict[str, float] = {}
        for run in runs:
            if run.nonce in begun and run.at > killed.at:
                again.setdefault(run.nonce, run.at - killed.at)
        if again:
            found[killed.what].extend(again.values())
    return found
