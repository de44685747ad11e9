"""How many tests and repeated deliveries of webhooks an owner may ask for."""

import pytest
from arq.connections import ArqRedis

from hooks import allowance
from tests.api.access.keyed import Keyed, bearer

URL = "https://example.org/hook"


async def test_tests_and_repetitions_are_limited_for_each_owner(
    guarded: Keyed, monkeypatch: pytest.MonkeyPatch, redis: ArqRedis
) -> None:
    monkeypatch.setattr(allowance, "MOST", 3)
    client = guarded.client
    alice, bob = [bearer((await guarded.key(name))[1]) for name in ("alice", "bob")]
    ends = []
    for who in (alice, bob):
        made = (await client.post("/v1/webhooks", json={"url": URL}, headers=who)).json()
        sent = (await client.post(f"/v1/webhooks/{made['id']}/test", headers=who)).json()
        ends.append((f"/{made['id']}/test", f"/deliveries/{sent['id']}/retry"))
    test, retry = ends[0]
    for end in (test, retry):
        assert (await client.post(f"/v1/webhooks{end}", headers=alice)).status_code == 202
    for end in (test, retry):
        refused = await client.post(f"/v1/webhooks{end}", headers=alice)
        problem = refused.json()
        assert (refused.status_code, problem["policy"]) == (429, "webhook-requests")
        assert problem["type"] == "urn:batchline:problem:too-many-requests"
        assert 1 <= int(refused.headers["retry-after"]) <= 60
        assert (await client.post(f"/webhooks{end}", headers=alice)).status_code == 429
    assert (await client.post(f"/v1/webhooks{ends[1][0]}", headers=bob)).status_code == 202
    [listed] = (await client.get("/v1/webhooks/deliveries?limit=1", headers=alice)).json()["deliveries"]
    assert listed["status"] == "pending"
    await redis.set("batchline:webhook-asked:alice", "another program's data", ex=60)
    assert (await client.post(f"/v1/webhooks{test}", headers=alice)).status_code == 202
    await redis.set("batchline:webhook-asked:alice", "7")
    assert (await client.post(f"/v1/webhooks{test}", headers=alice)).status_code == 429
    assert await redis.ttl("batchline:webhook-asked:alice") > 0, "it does not refuse for ever"
