"""Priorities and deadlines under overload. Orders and counts decide, not the machine's pace:
a model that sleeps, and writes down what it ran, is held by a gate until all that shall wait is waiting.
"""

import time
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import httpx
import pytest

from bench import stack
from bench.costly import Ran, record_of
from bench.texts import make_texts
from tests.gate import Gate
from tests.waiting import until

BATCH = 8
WINDOW = 32
MODELS = """\
[models.costly]
pipeline = "bench.costly:Costly"
options = {{ seconds = 0.005, record = "{record}" }}
max_batch_items = {batch}
token_budget = 1000000
"""


class Server:
    """A stack with one worker; the first word of its input identifies a job."""

    def __init__(self, running: stack.Stack, record: Path, gate: Gate) -> None:
        self.client = httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", timeout=90)
        self.record, self.gate = record, gate
        self.jobs: dict[str, str] = {}
        self._texts = cycle(make_texts(64))

    async def submit(self, name: str, **fields: Any) -> None:
        """A job of any length."""
        await self._post(name, f"{name} {next(self._texts)}", fields)

    async def close_gate(self) -> None:
        """The engine is busy from now on, and what is submitted waits."""
        await self._post("gate", f"gate until:{self.gate.path}", {})

        async def held() -> bool:
            return bool((await self.read("gate"))["attempts"] == 1)

        await until(held)

    async def _post(self, name: str, text: str, fields: dict[str, Any]) -> None:
        answer = await self.client.post("/v1/jobs", json={"inputs": text, **fields})
        assert answer.status_code == 202, answer.text
        self.jobs[name] = answer.json()["id"]

    async def read(self, name: str, wait: int = 0) -> dict[str, Any]:
        job: dict[str, Any] = (await self.client.get(f"/v1/jobs/{self.jobs[name]}?wait={wait}")).json()
        return job

    async def ended(self) -> dict[str, str]:
        """How each job ended."""
        return {name: (await self.read(name, wait=60))["status"] for name in self.jobs}

    def batches(self) -> list[Ran]:
        return record_of(self.record)

    def places(self) -> dict[str, int]:
        """The number of each input's batch. Every input ran at most once."""
        names = [name for ran in self.batches() for name in ran.names]
        assert len(set(names)) == len(names)
        return {name: number for number, ran in enumerate(self.batches()) for name in ran.names}


@pytest.fixture
def server(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Server]:
    """With the settings that the test's parameter gives."""
    models = MODELS.format(record=tmp_path / "record", batch=BATCH)
    settings = {"window_items": WINDOW, **getattr(request, "param", {})}
    with stack.running(models, **settings) as running:
        yield Server(running, tmp_path / "record", Gate(tmp_path))


def passed(places: dict[str, int], name: str, others: list[str]) -> int:
    """How many of the others ran in a batch before this one's."""
    return sum(places[other] < places[name] for other in others)


async def test_waiting_times_by_priority_at_overload(server: Server) -> None:
    normal, low = [f"n{i}" for i in range(160)], [f"l{i}" for i in range(80)]
    doomed = [f"d{i}" for i in range(16)]
    await server.close_gate()
    for i, name in enumerate(normal):
        await server.submit(name)
        if i % 2:
            await server.submit(low[i // 2], priority="low")
        if i % 10 == 0:  # some are claimed ahead, and run out in the worker's window
            rank = "high" if i % 20 == 0 else "normal"
            await server.submit(doomed[i // 10], priority=rank, expires_in=0.1)
    over = time.monotonic() + 2  # the worker's clock is behind by as long as a claim took

    async def too_late() -> bool:
        return time.monotonic() > over

    await until(too_late)

    behind, all_batches = [], (len(normal) + len(low)) // BATCH
    for number in range(5):  # one after the other, as long as there is a backlog that might overtake them
        await server.submit(high := f"h{number}", priority="high")
        ran = len(server.batches())
        if number == 0:  # it waits for the backlog, however fast the engine then is
            server.gate.open()
        assert (await server.read(high, wait=60))["status"] == "succeeded"
        if ran < all_batches - 6:
            behind.append(server.places()[high] - ran)
    assert behind, "none waited for the backlog"
    assert max(behind) <= 6, f"batches that ran before each high one: {behind}"

    ends = await server.ended()
    assert {ends[name] for name in [*normal, *low]} == {"succeeded"}
    assert {ends[name] for name in doomed} == {"expired"}
    places = server.places()
    assert not places.keys() & set(doomed), "what is overdue is never run"
    late = {name: passed(places, name, normal[i + 1 :]) for i, name in enumerate(normal)}
    assert max(late.values()) <= WINDOW + 2 * BATCH, "first come, first served, but for what shares a window"
    late = {name: passed(places, name, low[i + 1 :]) for i, name in enumerate(low)}
    assert max(late.values()) <= WINDOW + 2 * BATCH, "and so among the low ones"
    early = {name: passed(places, name, low) for name in normal}
    assert max(early.values()) <= WINDOW + 2 * BATCH, "a low one runs early only along with others"


@pytest.mark.parametrize("server", [{"head_start": 0.05}], indirect=True)
async def test_a_low_one_is_overtaken_only_by_what_comes_two_head_starts_later(server: Server) -> None:
    await server.close_gate()
    await server.submit("low", priority="low")
    over = time.monotonic() + 0.15

    async def head_starts_are_over() -> bool:
        return time.monotonic() > over

    await until(head_starts_are_over)
    late = [f"h{i}" for i in range(100)]
    for name in late:
        await server.submit(name, priority="high")
    server.gate.open()
    assert set((await server.ended()).values()) == {"succeeded"}
    assert passed(server.places(), "low", late) == 0


async def test_many_high_ones_at_once_do_not_wait_until_each_was_an_anchor(server: Server) -> None:
    await server.close_gate()
    normal, high = [f"n{i}" for i in range(120)], [f"h{i}" for i in range(3 * BATCH)]
    for name in normal:
        await server.submit(name)
    for name in high:
        await server.submit(name, priority="high")
    server.gate.open()
    assert set((await server.ended()).values()) == {"succeeded"}
    places = server.places()
    behind = max(passed(places, name, normal) for name in high)
    assert behind <= 4 * BATCH, f"normal ones that ran before the last of the high: {behind}"
