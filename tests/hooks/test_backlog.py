"""What waits while no sender runs."""

import pytest
from arq.connections import ArqRedis
from structlog.testing import capture_logs
from structlog.typing import EventDict

from hooks import backlog
from hooks.backlog import Backlog
from jobs.ledger import keys
from jobs.settings import Settings
from jobs.webhook import Webhook
from tests.api.api_process import mounted
from tests.hooks.ends import cancelled
from tests.ledger import JobQueue
from tests.waiting import until


def warnings(logged: list[EventDict]) -> list[tuple[int, bool]]:
    return [
        (each["entries"], each["oldest_seconds"] > 300)
        for each in logged
        if each["event"].startswith("webhooks wait")
    ]


async def test_an_outbox_that_no_sender_empties_is_in_the_log(
    queue: JobQueue, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = queue.shards.first.key(keys.OUTBOX)
    watched = Backlog(queue.shards)
    with capture_logs() as logged:
        await watched.check()
        await redis.xadd(name, {"id": "x"}, id="1-1")
        await cancelled(queue, Webhook("https://example.org/"))
        await watched.check()
        assert warnings(logged) == [(2, True)]
        await watched.check()
        assert warnings(logged) == [(2, True)], "not at each look"
        monkeypatch.setattr(backlog, "WARN_EVERY", 0.0)
        await watched.check()
        await redis.xdel(name, "1-1")
        await watched.check()
    assert warnings(logged) == [(2, True)] * 2, "what has only just ended is none"


async def test_an_api_process_looks_at_it(settings: Settings, queue: JobQueue, redis: ArqRedis) -> None:
    await redis.xadd(queue.shards.first.key(keys.OUTBOX), {"id": "x"}, id="1-1")
    with capture_logs() as logged:
        async with mounted(settings):

            async def warned() -> bool:
                return bool(warnings(logged))

            await until(warned)
