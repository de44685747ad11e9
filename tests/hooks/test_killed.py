"""Senders that are killed at any point: each event arrives at least once, and none unsigned.

`WEBHOOK_ENDINGS=10000` makes it longer than CI has time for.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from arq.connections import ArqRedis

from hooks.service import Hooks
from jobs.settings import Settings
from jobs.webhook import Webhook
from tests.hooks.conftest import QUICK
from tests.hooks.ends import cancelled, verified
from tests.hooks.receiver import Receiver, status
from tests.ledger import JobQueue
from tests.waiting import until

ENDINGS = int(os.environ.get("WEBHOOK_ENDINGS", "1500"))
KILLS = 10


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """The receiver is in this process: where that is slow, no delivery may fail for it."""
    retries = "0.2,0.2,0.2,0.2,0.2,0.2,0.2,0.2,0.2"
    return settings.model_copy(update={"webhook_retries": retries, "webhook_timeout": 2.0})


@contextmanager
def sender(settings: Settings, crash_at: str = "") -> Iterator[subprocess.Popen[bytes]]:
    """`python -m hooks`, killed with SIGKILL at the end of the block."""
    own = ("redis_url", "shards", "webhook_retries", "webhook_timeout")
    given = {**QUICK, "log_level": "warning", **{name: getattr(settings, name) for name in own}}
    environment = {f"BATCHLINE_{name.upper()}": str(value) for name, value in given.items()}
    if crash_at:
        environment["BATCHLINE_CRASH_AT"] = crash_at
    process = subprocess.Popen([sys.executable, "-m", "hooks"], env=os.environ | environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


async def test_each_event_arrives_however_often_the_sender_is_killed(
    queue: JobQueue, hooks: Hooks, receiver: Receiver, settings: Settings, redis: ArqRedis
) -> None:
    receiver.answers["/"] = [status(503), status(500), status(200)]
    ended: set[str] = set()

    async def end_all() -> None:
        for _ in range(0, ENDINGS, 50):
            ended.update(
                await asyncio.gather(*(cancelled(queue, Webhook(receiver.url())) for _ in range(50)))
            )

    ending = asyncio.create_task(end_all())

    async def arrived(count: int) -> None:
        async def have() -> bool:
            return len(receiver.ids) >= count

        await until(have, 60)

    for place in ("after_move", "after_delivery:20"):
        with sender(settings, place) as process:

            async def died(process: subprocess.Popen[bytes] = process) -> bool:
                return process.poll() is not None

            await until(died)
    for kill in range(1, KILLS - 1):
        with sender(settings):
            await arrived(kill * ENDINGS // KILLS)
    await ending
    with sender(settings) as process:
        await arrived(ENDINGS)

        async def all_settled() -> bool:
            counts = (await hooks.figures()).counts
            return counts["delivered"] == ENDINGS and counts["undeliverable"] == 0

        await until(all_settled, 60)
        process.terminate()
        assert process.wait(60) == 0, "an orderly stop"
    secret = (await hooks.secret("")).secret
    events = [verified(secret, each) for each in receiver.received]
    assert {event["data"]["id"] for event in events} == ended
    assert len({event["id"] for event in events}) == len(ended) == ENDINGS
    assert (await hooks.figures()).entries == 0
