"""Which owners have endpoints, as an API process knows it."""

import pytest

from hooks import listeners
from hooks.listeners import Listeners
from hooks.service import Hooks
from hooks.store import HookStore
from jobs.errors import QueueUnavailable
from jobs.store.connection import cancel
from tests.ledger import JobQueue
from tests.waiting import until


async def test_owners_are_learned_and_forgotten(
    queue: JobQueue, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "POLL_EVERY", 0.02)
    known = Listeners(HookStore(queue.shards.first))
    assert "alice" in known, "while nothing is known, no end may be missed"
    task = await known.begin()
    assert "alice" not in known
    made = await hooks.create("alice", "http://127.0.0.1/", (), "")

    async def hears() -> bool:
        return "alice" in known and "bob" not in known

    await until(hears)
    await hooks.delete(made.id, sees=None)

    async def forgotten() -> bool:
        return "alice" not in known

    await until(forgotten)
    await cancel(task)


async def test_a_server_starts_without_redis_and_keeps_what_it_knew(
    queue: JobQueue, hooks: Hooks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listeners, "POLL_EVERY", 0.02)
    store = HookStore(queue.shards.first)
    version, calls, is_away = store.version, 0, True

    async def away() -> tuple[str, int]:
        nonlocal calls
        calls += 1
        if is_away:
            raise QueueUnavailable("Redis cannot be reached")
        return await version()

    monkeypatch.setattr(store, "version", away)
    known = Listeners(store)
    task = await known.begin()
    assert "alice" in known
    is_away = False

    async def learned() -> bool:
        return "alice" not in known

    await until(learned)
    is_away, before = True, calls

    async def asked_again() -> bool:
        return calls > before + 2

    await until(asked_again)
    assert "alice" not in known
    await cancel(task)
