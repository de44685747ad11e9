"""Few open files: the process keeps some for itself, and idle connections make room for new ones."""

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from api.edge import connections as module
from api.edge.connections import Connections, Limits
from jobs.ledger.keys import queue_name
from tests.api import floods
from tests.api.conftest import MODELS
from tests.ledger import JobQueue
from tests.waiting import until

FILES = 256
SERVED, BACKLOG = 104, 26
"""What a process with so many files allows (`Limits.of_process`)."""
WAITERS = 125
TOGETHER = 25
"""Requests sent at once. If more connections than the backlog wait to be accepted, some may be reset."""
assert TOGETHER < BACKLOG


@pytest.mark.attack(
    "more half-sent heads than there are descriptors (`ulimit -n 256`)",
    held="submits of others are accepted, the log says why some were refused",
    tried="400 heads",
)
async def test_half_sent_heads_do_not_reset_others(tmp_path: Path, redis: ArqRedis, redis_url: str) -> None:
    late = {"api.edge.outgoing.LINGER_SECONDS": 60.0}  # whoever is refused may ask late, on a busy machine
    async with floods.serving(tmp_path, MODELS, redis_url, files=FILES, deadlines=late) as api:
        held = [await api.connect() for _ in range(400)]
        for _, writer in held:
            with suppress(ConnectionError):
                writer.write(b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\n")
        async with floods.client(api) as client:

            async def accepted() -> bool:
                answer = await client.post("/v1/jobs", json={"inputs": "x"})
                assert answer.status_code == 202 or (answer.status_code, answer.headers["retry-after"]) == (
                    503,
                    "1",
                )
                return answer.status_code == 202

            for _ in range(100):
                await until(accepted)
        for _, writer in held:
            writer.close()
        lines = [line for line in api.log.read_text().splitlines() if "too many connections" in line]
        assert len(lines) == 1, "said once"
        assert "ulimit -n" in lines[0]


async def test_new_connections_are_refused_where_all_are_busy(
    tmp_path: Path, redis: ArqRedis, redis_url: str, queue: JobQueue
) -> None:
    """With 503, and Redis can still be reached by those that are served: they wait until all have asked."""
    # on a busy machine a request may come so late that its connection counts as idle and makes room, or that
    # one which was refused has been closed
    late = {"api.edge.connections.FRESH": 60.0, "api.edge.outgoing.LINGER_SECONDS": 60.0}
    async with (
        floods.serving(tmp_path, MODELS, redis_url, files=FILES, deadlines=late) as api,
        floods.client(api) as client,
    ):
        asked: list[asyncio.Task[httpx.Response]] = []

        async def received() -> bool:
            refused = [each for each in asked if each.done() and each.result().status_code == 503]
            return int(await redis.zcard(queue_name("sentiment"))) + len(refused) == len(asked)

        async with asyncio.TaskGroup() as requests:
            while len(asked) < WAITERS:
                request = client.post("/v1/jobs?wait=50", json={"inputs": "x"})
                asked.append(requests.create_task(request))
                if len(asked) % TOGETHER == 0:
                    await until(received)
            for job_id in await redis.zrange(queue_name("sentiment"), 0, -1):
                await queue.cancel(job_id.decode())
    answers = [each.result() for each in asked]
    assert Counter(answer.status_code for answer in answers) == {200: SERVED, 503: WAITERS - SERVED}
    assert all(answer.headers["retry-after"] for answer in answers if answer.status_code == 503)


class Stub:
    def __init__(self, unsent: bool = False) -> None:
        self.unsent = unsent
        self.fate: str | None = None

    def has_unsent(self) -> bool:
        return self.unsent

    def disconnect(self) -> None:
        self.fate = "disconnected"

    def refuse(self) -> None:
        self.fate = "refused"


def fates(*stubs: Stub) -> list[str | None]:
    return [stub.fate for stub in stubs]


def test_the_one_that_is_idle_longest_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FRESH", 0.0)
    connections = Connections(Limits(3, 1))
    reads, first, second, third = Stub(unsent=True), Stub(), Stub(), Stub()
    for each in (reads, first, second):
        connections.opened(each)
    connections.busy(first)
    connections.idle(first)
    connections.opened(third)
    assert fates(reads, first, second, third) == [None, None, "disconnected", None]


def test_where_none_is_idle_a_new_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """And those that were refused before make room for those that are refused now."""
    monkeypatch.setattr(module, "FRESH", 3600.0)
    connections = Connections(Limits(2, 1))
    first, second, third, fourth, fifth = (Stub() for _ in range(5))
    for each in (first, second, third, fourth):
        connections.opened(each)
    assert fates(first, second, third, fourth) == [None, None, "disconnected", "refused"], "they are new"
    connections.closed(third)
    connections.closed(first)
    connections.opened(fifth)
    assert fates(second, fourth, fifth) == [None, "refused", None]


@pytest.mark.parametrize(
    ("files", "most", "waiting"), [(100, 16, 16), (FILES, SERVED, BACKLOG), (65_536, 61_340, 2_048)]
)
def test_connections_leave_descriptors_for_the_rest(
    monkeypatch: pytest.MonkeyPatch, files: int, most: int, waiting: int
) -> None:
    monkeypatch.setattr("resource.getrlimit", lambda _: (files, files))
    assert Limits.of_process() == (most, waiting)
