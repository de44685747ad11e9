"""Certificates for the API, and deadlines that a busy machine does not shorten."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from api.edge import client_deadlines
from api.edge.client_deadlines import DeadlineProtocol
from jobs.settings import Settings
from jobs.store.connection import cancel
from tests import certificates
from tests.certificates import Certificates


@pytest.fixture(scope="session")
def first(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("first"))


@pytest.fixture(scope="session")
def second(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates.make(tmp_path_factory.mktemp("second"))


@pytest.fixture
def files(tmp_path: Path, first: Certificates) -> tuple[Path, Path]:
    """The files that the API reads: a certificate and its key, which a test may replace."""
    served = tmp_path / "tls.crt", tmp_path / "tls.key"
    first.install(served)
    return served


@pytest.fixture
def with_tls(settings: Settings, files: tuple[Path, Path]) -> Settings:
    return settings.model_copy(update={"tls_cert": files[0], "tls_key": files[1]})


PAUSE = 0.05
"""Seconds without a turn of the loop that count as a pause of this process."""


@pytest.fixture
async def fair(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Deadlines count no pause of this process: its clients are in it too, and cannot read meanwhile."""
    loop = asyncio.get_running_loop()
    turn, paused = loop.time(), -math.inf

    def noted() -> None:
        nonlocal turn, paused
        before, turn = turn, loop.time()
        if turn - before > PAUSE:
            paused = turn

    async def turns() -> None:
        while True:
            noted()
            await asyncio.sleep(PAUSE / 5)

    def again_after_a_pause(name: str, timer: str, seconds: Callable[[DeadlineProtocol], float]) -> None:
        due = getattr(DeadlineProtocol, name)

        def called(self: DeadlineProtocol) -> None:
            noted()
            if paused > loop.time() - seconds(self):
                setattr(self, timer, loop.call_later(seconds(self), getattr(self, name)))
            else:
                due(self)

        monkeypatch.setattr(DeadlineProtocol, name, called)

    again_after_a_pause("_check_rate", "_rate_check", lambda _: client_deadlines.RATE_PERIOD)
    again_after_a_pause(
        "timeout_keep_alive_handler", "timeout_keep_alive_task", lambda each: each.timeout_keep_alive
    )
    turning = asyncio.create_task(turns())
    yield
    await cancel(turning)
