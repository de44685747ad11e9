"""The supervisor: starts children in order, keeps them running, stops them in reverse order.

It ends on a signal or when a child refuses to start. The first SIGINT, SIGTERM or SIGHUP stops the children
in order; the second kills the remaining ones.
"""

import asyncio
import contextlib
import signal
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from jobs.process.watchdog import Watchdog
from standalone.child import Child
from standalone.terminal import say

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Supervisor:
    """An async context: a stop cancels its body, and leaving it stops the children.

    `holding`: file descriptors that must stay open until the last child has ended, such as a lock.
    """

    def __init__(self, holding: Sequence[int] = ()) -> None:
        self._watchdog = Watchdog(holding)
        self._children: list[Child] = []
        self._keepers: list[asyncio.Task[None]] = []
        self._failure: BaseException | None = None
        self._stopping = False

    async def __aenter__(self) -> Self:
        self._body = asyncio.current_task()
        self._watchdog.start()
        for number in STOP_SIGNALS:
            # keep ignoring SIGHUP under nohup
            if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal)
        return self

    async def start(self, child: Child) -> None:
        """Starts the child and keeps it running."""
        self._children.append(child)
        await child.start(self._watchdog)
        keeper = asyncio.create_task(child.keep(self._watchdog), name=child.name)
        keeper.add_done_callback(self._on_keeper_ended)
        self._keepers.append(keeper)

    def mark_working(self) -> None:
        """Marks all children as working: from now on exit status 1 also leads to a restart."""
        for child in self._children:
            child.works = True

    async def stopped(self) -> None:
        """Waits until a stop cancels the body."""
        await asyncio.Event().wait()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        ours = self._stopping and kind is asyncio.CancelledError
        if ours and self._body is not None:
            self._body.uncancel()
        self._stopping = True
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        for child in reversed(self._children):
            await child.stop(self._watchdog)
        self._watchdog.stop()
        if self._failure is not None:
            raise self._failure
        return ours

    def _on_signal(self) -> None:
        if self._stopping:
            for child in self._children:
                child.kill()
            return
        say("Stopping after the running batch; send the signal again to stop at once")
        self._cancel_body()

    def _on_keeper_ended(self, keeper: asyncio.Task[None]) -> None:
        with contextlib.suppress(asyncio.CancelledError):
            if self._failure is None:
                self._failure = keeper.exception()
            self._cancel_body()

    def _cancel_body(self) -> None:
        if not self._stopping and self._body is not None:
            self._stopping = True
            self._body.cancel()
