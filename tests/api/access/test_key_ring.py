"""The keys as an API process knows them: current, bounded without Redis, equal work for all secrets."""

import asyncio
import hashlib
import hmac
import json
import math
import time
from collections.abc import Callable
from typing import Any

import pytest
from arq.connections import ArqRedis

from api.access import key_ring
from api.access.key_ring import KeyRing
from api.access.key_table import WIDTH
from jobs.access.api_key import ApiKey, digest, new_secret
from jobs.access.key_store import KeyStore
from jobs.errors import QueueUnavailable
from jobs.ledger import keys
from jobs.ledger.shards import Shards
from jobs.owners import Limits, Sender
from jobs.settings import Settings
from jobs.store.store import Server
from tests.waiting import until

ALICE = ApiKey(id="", owner="alice", digest="", limits=Limits(waits=3), weight=2.0)


@pytest.fixture
def store(redis: ArqRedis, settings: Settings) -> KeyStore:
    return KeyStore(Shards(Server(redis), settings).first)


@pytest.fixture
async def ring(store: KeyStore) -> KeyRing:
    ring = KeyRing(store, cache=300)
    await ring.refresh()
    return ring


async def test_a_secret_leads_to_its_caller(store: KeyStore, ring: KeyRing) -> None:
    created, secret = await store.create(ALICE)
    assert ring.by_secret(secret) is None
    await ring.refresh()
    key = ring.by_secret(secret)
    assert key == created == ring.by_id(created.id)
    caller = ring.caller(key)
    assert caller.sender == Sender("alice", created.id, 2.0, Limits(waits=3))
    assert caller.scopes == {"submit", "read"}
    assert caller.sees == "alice"


async def test_keys_that_are_not_accepted(store: KeyStore, ring: KeyRing) -> None:
    revoked, revoked_secret = await store.create(ALICE)
    await store.revoke(revoked.id)
    expired, expired_secret = await store.create(ALICE, lifetime=0)
    rotated, old_secret = await store.create(ALICE)
    _, new = await store.rotate(rotated.id, 0)
    await ring.refresh()
    judged = [ring.judge(secret)[1] for secret in (revoked_secret, expired_secret, old_secret, new, "bl_x")]
    assert judged == ["revoked", "expired", "rotated", None, "unknown"]
    assert [ring.by_id(key.id) is None for key in (revoked, expired, rotated)] == [True, True, False]
    for secret in (revoked_secret, expired_secret, old_secret, "", "bl_", "\udcff", rotated.digest):
        assert ring.by_secret(secret) is None


async def test_a_malformed_record_does_not_keep_a_revocation_from_taking_effect(
    store: KeyStore, ring: KeyRing, redis: ArqRedis
) -> None:
    key, secret = await store.create(ALICE)
    await ring.refresh()
    odd = json.dumps({"id": "k_odd", "owner": "mallory", "digest": "zz"})
    await redis.hset(keys.API_KEYS.of(), "k_odd", odd)  # type: ignore[misc]
    await store.revoke(key.id)
    await ring.refresh()
    assert ring.by_secret(secret) is None


async def test_keys_that_could_not_be_installed_are_loaded_again(
    store: KeyStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else a bug would hide a revocation until the next change."""
    key, secret = await store.create(ALICE)
    await ring.refresh()
    await store.revoke(key.id)
    with monkeypatch.context() as broken:
        broken.setattr(key_ring, "_entries", lambda key: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            await ring.refresh()
    await ring.refresh()
    assert ring.by_secret(secret) is None


def test_before_redis_has_answered_the_time_is_that_of_this_machine(store: KeyStore) -> None:
    """The age of an admin key's session is computed from it."""
    before = time.time() * 1000
    now = KeyRing(store, cache=300).now()
    assert before - 5000 < now < time.time() * 1000 + 5000


async def test_the_earlier_secret_is_accepted_for_the_grace(store: KeyStore, ring: KeyRing) -> None:
    key, old = await store.create(ALICE)
    _, new = await store.rotate(key.id, 60_000)
    await ring.refresh()
    assert ring.by_secret(old) == ring.by_secret(new) is not None
    ring._ahead += 60_001
    assert (ring.by_secret(old), ring.by_secret(new) is None) == (None, False)


async def test_all_secrets_take_the_same_work(
    store: KeyStore, ring: KeyRing, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same hashes, and comparisons with all places of a bucket, each of the same length."""
    _, secret = await store.create(ALICE)
    revoked, revoked_secret = await store.create(ALICE)
    await store.revoke(revoked.id)
    await ring.refresh()
    work: list[object] = []

    def noted(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **how: Any) -> Any:
            work.append((name, *map(len, given)))
            return function(*given, **how)

        return call

    monkeypatch.setattr(hashlib, "sha256", noted("hash", hashlib.sha256))
    monkeypatch.setattr(hashlib, "blake2b", noted("bucket", hashlib.blake2b))
    monkeypatch.setattr(hmac, "compare_digest", noted("compare", hmac.compare_digest))
    done = []
    for given in (secret, revoked_secret, new_secret(), "bl_" + "?" * 43, digest(secret)[:46]):
        work.clear()
        ring.by_secret(given)
        done.append(list(work))
    assert done == [[("hash", 46), ("bucket", 32), *[("compare", 32, 32)] * WIDTH]] * 5


async def test_known_keys_are_accepted_without_redis_for_a_while(
    store: KeyStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    fixed = ApiKey(id="admin", owner="admin", digest=digest("bl_fixed"), scopes=frozenset({"admin"}))
    ring = KeyRing(store, cache=300, fixed=lambda: [fixed])
    key, secret = await store.create(ALICE)
    with pytest.raises(QueueUnavailable):
        ring.by_secret(secret)
    await ring.refresh()

    async def away() -> Any:
        raise QueueUnavailable("away")

    monkeypatch.setattr(store, "version", away)
    with pytest.raises(QueueUnavailable):
        await ring.refresh()
    assert ring.by_secret(secret) == key
    ring._confirmed -= 301
    for given in (secret, "bl_x"):
        with pytest.raises(QueueUnavailable):
            ring.by_secret(given)
    with pytest.raises(QueueUnavailable):
        ring.by_id(key.id)
    assert ring.by_secret("bl_fixed") == ring.by_id("admin") == fixed


async def test_the_end_of_a_key_is_reported_once(store: KeyStore, ring: KeyRing) -> None:
    ended: list[str] = []
    ring.on_end(ended.append)
    revoked, _ = await store.create(ALICE)
    expires, _ = await store.create(ALICE, lifetime=3_600_000)
    stays, _ = await store.create(ALICE)
    await ring.refresh()
    await store.revoke(revoked.id)
    await ring.refresh()
    await store.rotate(stays.id, 60_000)
    await ring.refresh()
    assert ended == [revoked.id]
    ring._ahead += 60_000
    ring._report_ended()
    assert ended == [revoked.id, stays.id], "its earlier secret"
    ring._ahead += 3_600_000
    ring._report_ended()
    assert ended == [revoked.id, stays.id, expires.id]


async def test_a_change_is_seen_within_a_second(store: KeyStore, ring: KeyRing) -> None:
    """The polls are more often than that, also after errors."""
    assert key_ring.POLL_EVERY < 0.5
    running = asyncio.create_task(ring.run())
    try:
        key, secret = await store.create(ALICE)

        async def known() -> bool:
            return ring.by_secret(secret) == key

        await until(known)
    finally:
        running.cancel()


async def test_the_last_use_is_stored_at_most_once_a_minute(store: KeyStore, ring: KeyRing) -> None:
    key, secret = await store.create(ALICE)
    await ring.refresh()
    written: list[dict[str, int]] = []
    note = store.note_uses

    async def noting(uses: dict[str, int]) -> None:
        written.append(uses)
        await note(uses)

    store.note_uses = noting  # type: ignore[method-assign, assignment]
    for _ in range(3):
        found = ring.by_secret(secret)
        assert found
        ring.caller(found)
        await ring.refresh()
    assert [list(uses) for uses in written] == [[key.id]]
    assert (await store.uses())[key.id] >= key.created
    ring._written[key.id] = time.monotonic() - 61
    await ring.refresh()
    assert len(written) == 2
    ring._written[key.id] = -math.inf
    await ring.refresh()
    assert len(written) == 2, "not used since"
