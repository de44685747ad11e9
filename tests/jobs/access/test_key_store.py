"""Keys in Redis: created, rotated and revoked by one, seen by all; the secret is not there."""

import asyncio
import json
from typing import Any

import pytest
from arq.connections import ArqRedis

from jobs.access.api_key import ApiKey, digest, new_id, new_secret
from jobs.access.key_store import KeyStore
from jobs.errors import KeyNotFound, QueueDamaged
from jobs.ledger import keys
from jobs.ledger.shards import Shards
from jobs.ledger.versioned_hash import VERSION
from jobs.owners import Limits
from jobs.process.redaction import SECRET
from jobs.settings import Settings
from jobs.store.store import Server

ALICE = ApiKey(id="", owner="alice", digest="", models=frozenset({"m"}), limits=Limits(waits=3), weight=2.0)


@pytest.fixture
def store(redis: ArqRedis, settings: Settings) -> KeyStore:
    return KeyStore(Shards(Server(redis), settings).first)


def test_a_secret_has_256_random_bits() -> None:
    secrets = {new_secret() for _ in range(100)}
    assert len(secrets) == 100
    assert all(SECRET.fullmatch(secret) for secret in secrets)
    assert len({new_id() for _ in range(100)}) == 100


async def test_a_created_key_is_listed_as_given(store: KeyStore) -> None:
    key, secret = await store.create(ALICE, lifetime=60_000)
    assert await store.list() == [key]
    assert (key.owner, key.models, key.limits, key.weight) == (
        "alice",
        ALICE.models,
        Limits(waits=3),
        2.0,
    )
    assert key.digest == digest(secret)
    assert key.expires == key.created + 60_000
    assert [key.fault(at) for at in (key.created, key.created + 60_000)] == [None, "expired"]


async def test_the_secret_is_not_stored(store: KeyStore, redis: ArqRedis) -> None:
    key, first = await store.create(ALICE)
    _, second = await store.rotate(key.id, 1000)
    stored = b"".join(await redis.hvals(keys.API_KEYS.of()))  # type: ignore[misc]
    assert digest(second).encode() in stored
    for secret in (first, second):
        assert secret.encode() not in stored
        assert secret[3:].encode() not in stored


async def test_every_change_has_a_new_version(store: KeyStore) -> None:
    versions = [await store.version()]
    key, _ = await store.create(ALICE)
    versions.append(await store.version())
    await store.rotate(key.id, 0)
    versions.append(await store.version())
    await store.revoke(key.id)
    versions.append(await store.version())
    assert versions[0][0] == ""
    assert len({version for version, _ in versions}) == 4
    assert (await store.snapshot()).version == versions[-1][0]
    again, now = await store.revoke(key.id)
    assert again.revoked
    assert not now
    assert (await store.version())[0] == versions[-1][0], "nothing has changed"


async def test_a_rotated_key_keeps_its_earlier_digest_for_the_grace(store: KeyStore) -> None:
    key, first = await store.create(ALICE)
    rotated, second = await store.rotate(key.id, 5000)
    assert first != second
    assert (rotated.digest, rotated.previous, rotated.id) == (digest(second), digest(first), key.id)
    assert rotated.previous_until >= key.created + 5000


@pytest.mark.parametrize("wrong", ["k_nothing", VERSION, ""])
async def test_a_key_that_does_not_exist_is_reported(store: KeyStore, wrong: str) -> None:
    await store.create(ALICE)
    with pytest.raises(KeyNotFound, match=f"no key has the id {wrong}"):
        await store.revoke(wrong)
    with pytest.raises(KeyNotFound):
        await store.rotate(wrong, 0)


async def test_a_revoked_key_is_not_rotated(store: KeyStore) -> None:
    key, _ = await store.create(ALICE)
    await store.revoke(key.id)
    with pytest.raises(KeyNotFound, match="is revoked"):
        await store.rotate(key.id, 0)


async def test_changes_at_the_same_time_do_not_undo_each_other(store: KeyStore) -> None:
    """A rotation that began before a revocation must not bring the key back."""
    created = [await store.create(ALICE) for _ in range(10)]
    for key, _ in created:
        await asyncio.gather(store.revoke(key.id), store.rotate(key.id, 0), return_exceptions=True)
    assert all(key.revoked for key in await store.list())


async def test_a_record_of_another_program_does_not_hide_the_other_keys(
    store: KeyStore, redis: ArqRedis
) -> None:
    key, _ = await store.create(ALICE)
    await redis.hset(keys.API_KEYS.of(), "k_odd", "?")  # type: ignore[misc]
    assert await store.list() == [key]


RECORD: dict[str, Any] = {"id": "k_odd", "owner": "mallory", "digest": digest("bl_odd")}


@pytest.mark.parametrize(
    "changed",
    [
        {"digest": "zz"},
        {"digest": ""},
        {"digest": digest("bl_odd").upper()},
        {"previous": "zz"},
        {"id": "k_other"},
        {"owner": ""},
        {"owner": "x}:{y"},
        {"weight": 0},
        {"weight": -1},
        {"expires": 10**400},
        {"created": 10**15},
        {"revoked": -1},
        {"scopes": ["all"]},
    ],
    ids=str,
)
async def test_a_record_that_no_key_can_have_is_none(
    store: KeyStore, redis: ArqRedis, changed: dict[str, Any]
) -> None:
    key, _ = await store.create(ALICE)
    await redis.hset(keys.API_KEYS.of(), "k_odd", json.dumps(RECORD))  # type: ignore[misc]
    assert {each.id for each in await store.list()} == {"k_odd", key.id}
    await redis.hset(keys.API_KEYS.of(), "k_odd", json.dumps(RECORD | changed))  # type: ignore[misc]
    assert await store.list() == [key]


@pytest.mark.parametrize("data", [b'{"id":"\xff"}', b'{"x":' + b"[" * 100_000, b"\xff", b""])
async def test_a_record_that_is_no_text_is_none(store: KeyStore, redis: ArqRedis, data: bytes) -> None:
    key, _ = await store.create(ALICE)
    await redis.hset(keys.API_KEYS.of(), mapping={"k_odd": data})  # type: ignore[misc]
    admin = json.dumps(RECORD | {"id": "admin_01234567"})
    for name in (b"\xff", b"admin_01234567"):
        await redis.hset(keys.API_KEYS.of(), mapping={name: admin})  # type: ignore[misc]
    assert await store.list() == [key]


async def test_a_foreign_key_is_named(store: KeyStore, redis: ArqRedis) -> None:
    await redis.set(keys.API_KEYS.of(), "x")
    with pytest.raises(QueueDamaged, match="batchline:keys holds a string"):
        await store.version()


async def test_uses_are_kept_apart(store: KeyStore) -> None:
    await store.create(ALICE)
    before = await store.version()
    await store.note_uses({"k_a": 5, "k_b": 6})
    await store.note_uses({"k_a": 7})
    assert await store.uses() == {"k_a": 7, "k_b": 6}
    assert (await store.version())[0] == before[0]
