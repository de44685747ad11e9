"""API keys in a cluster: they are in the slot of the first shard."""

from api.access.key_ring import KeyRing
from jobs.access.api_key import ApiKey
from jobs.access.key_store import KeyStore
from jobs.ledger import keys
from jobs.ledger.shards import Shards
from jobs.settings import Settings
from jobs.store.store import Store


async def test_keys_are_created_rotated_and_revoked_in_a_cluster(store: Store, settings: Settings) -> None:
    kept = KeyStore(Shards(store, settings).first)
    ring = KeyRing(kept, cache=300)
    key, first = await kept.create(ApiKey(id="", owner="alice", digest=""), lifetime=60_000)
    await ring.refresh()
    assert ring.by_secret(first) == key
    _, second = await kept.rotate(key.id, 0)
    await ring.refresh()
    found = ring.by_secret(second)
    assert found is not None
    ring.caller(found)
    assert ring.by_secret(first) is None
    await ring.refresh()
    assert list(await kept.uses()) == [key.id]
    await kept.revoke(key.id)
    await ring.refresh()
    assert ring.by_secret(second) is None
    [listed] = await kept.list()
    assert listed.fault(0) == "revoked"
    client = store.client(keys.tag(0, clustered=True))
    assert await client.exists("batchline:keys:{0}", "batchline:keys:used:{0}") == 2
