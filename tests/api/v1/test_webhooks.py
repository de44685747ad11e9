"""/v1/webhooks and the `webhook` of a job: what is stored, what is refused, and whose it is."""

from typing import Any

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.settings import Settings
from tests.api.access.keyed import Keyed, bearer
from tests.api.api_process import mounted
from tests.ledger import JobQueue
from tests.waiting import until

URL = "https://example.org/hook"


async def created(client: httpx.AsyncClient, **fields: Any) -> dict[str, Any]:
    answer = await client.post("/v1/webhooks", json={"url": URL, **fields})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    assert answer.headers["location"] == f"/v1/webhooks/{found['id']}"
    return found


async def test_an_endpoint_is_created_changed_tested_rotated_and_deleted(client: httpx.AsyncClient) -> None:
    made = await created(client, events=["job.failed", "job.failed"], description="<b>ours</b>")
    path, secret = f"/v1/webhooks/{made['id']}", made.pop("secret")
    assert secret.startswith("whsec_")
    assert made["events"] == ["job.failed"]
    assert (await client.get(path)).json() == made
    assert (await client.get("/v1/webhooks")).json() == {"webhooks": [made]}
    changed = (await client.post(path, json={"events": None, "enabled": False})).json()
    assert (changed["url"], changed["events"], changed["enabled"]) == (URL, None, False)
    refused = await client.post(f"{path}/test")
    assert (refused.status_code, refused.json()["detail"]) == (
        422,
        "the endpoint is disabled; enable it first",
    )
    await client.post(path, json={"enabled": True})
    sent = await client.post(f"{path}/test")
    assert (sent.status_code, sent.json()["type"]) == (202, "webhook.test")
    delivery = f"/v1/webhooks/deliveries/{sent.json()['id']}"
    assert (await client.get(delivery)).json()["status"] == "pending"
    assert (await client.post(f"{delivery}/retry")).status_code == 202
    listed = (await client.get("/v1/webhooks/deliveries")).json()
    assert ([each["id"] for each in listed["deliveries"]], listed["next"]) == ([sent.json()["id"]], None)
    assert (await client.get("/v1/webhooks/deliveries?undeliverable=true")).json()["deliveries"] == []
    rotated = (await client.post(f"{path}/secret/rotate")).json()
    assert rotated["secret"] not in ("", secret)
    assert rotated["previous_secret_until"]
    assert (await client.delete(path)).json() == {"id": made["id"], "object": "webhook", "deleted": True}
    assert (await client.get(path)).status_code == 404
    assert (await client.get("/v1/webhooks")).json() == {"webhooks": []}


async def test_an_owner_has_a_secret_of_its_own(client: httpx.AsyncClient) -> None:
    first = (await client.get("/v1/webhooks/secret")).json()
    assert (await client.get("/v1/webhooks/secret")).json() == first
    second = (await client.post("/v1/webhooks/secret/rotate")).json()
    assert second["secret"] != first["secret"]
    assert second["previous_secret_until"]
    assert (await client.get("/v1/webhooks/secret")).json() == second


BAD: dict[str, tuple[Any, str, str | None]] = {
    "no body": (None, "the body is empty", None),
    "no JSON": (b"{", "not valid JSON", None),
    "not UTF-8": (b'{"url": "\xff"}', "", None),
    "a list": ([], "the body", None),
    "no url": ({}, "url is missing", None),
    "a number": ({"url": 7}, "url: give a text", "/url"),
    "an unknown field": ({"url": URL, "secret": "x"}, "unknown", None),
    "an unknown event": ({"url": URL, "events": ["job.done"]}, "events", "/events/0"),
    "no events": ({"url": URL, "events": []}, "events", "/events"),
    "a private address": ({"url": "https://10.0.0.1/"}, "not public", "/url"),
    "http": ({"url": "http://example.org/"}, "https://", "/url"),
    "a long description": ({"url": URL, "description": "x" * 501}, "description", "/description"),
    "deeply nested": (b'{"x":' + b"[" * 5000, "unknown", None),
}


@pytest.mark.parametrize("case", BAD)
async def test_a_bad_endpoint_is_refused_with_a_sentence(client: httpx.AsyncClient, case: str) -> None:
    body, words, pointer = BAD[case]
    content = body if isinstance(body, bytes) or body is None else msgspec.json.encode(body)
    answer = await client.post("/v1/webhooks", content=content, headers={"content-type": "application/json"})
    assert answer.status_code == 422, answer.text
    assert words in answer.json()["detail"]
    assert answer.json().get("pointer") == pointer
    made = await created(client)
    if isinstance(body, dict) and body:
        assert (await client.post(f"/v1/webhooks/{made['id']}", json=body)).status_code == 422


async def test_other_sites_and_other_bodies_are_refused(client: httpx.AsyncClient) -> None:
    made = await created(client)
    paths = [
        ("POST", "/v1/webhooks"),
        *(("POST", f"/v1/webhooks/{made['id']}{end}") for end in ("", "/test", "/secret/rotate")),
        ("DELETE", f"/v1/webhooks/{made['id']}"),
        ("POST", "/v1/webhooks/secret/rotate"),
        ("POST", "/v1/webhooks/deliveries/dlv_x/retry"),
    ]
    site = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}
    for method, path in paths:
        answer = await client.request(method, path, content=b'{"url": "x"}', headers=site)
        assert answer.status_code in (403, 415), path
    text = await client.post("/v1/webhooks", content=b"{}", headers={"content-type": "text/plain"})
    assert text.status_code == 415
    large = await client.post("/v1/webhooks", json={"url": URL, "description": "x" * 70_000})
    assert large.status_code == 413
    assert (await client.get("/v1/webhooks")).json()["webhooks"][0]["id"] == made["id"]


@pytest.mark.parametrize("end", ["x", "we_" + "0" * 24, "version", "secret:alice", "%00", "x" * 3000, "é"])
async def test_what_does_not_exist_is_not_found(client: httpx.AsyncClient, end: str) -> None:
    await client.get("/v1/webhooks/secret")
    for method, path in (
        ("GET", f"/v1/webhooks/{end}"),
        ("DELETE", f"/v1/webhooks/{end}"),
        ("POST", f"/v1/webhooks/{end}/test"),
        ("POST", f"/v1/webhooks/{end}/secret/rotate"),
        ("GET", f"/v1/webhooks/deliveries/{end}"),
        ("POST", f"/v1/webhooks/deliveries/{end}/retry"),
    ):
        assert (await client.request(method, path)).status_code == 404, path
    assert (await client.post(f"/v1/webhooks/{end}", json={})).status_code == 404
    assert (await client.get("/v1/webhooks/deliveries", params={"cursor": end})).status_code == 422


async def test_an_owner_has_so_many_endpoints(settings: Settings) -> None:
    async with mounted(settings.model_copy(update={"webhook_endpoints": 2})) as (client, _):
        for _ in range(2):
            await created(client)
        full = await client.post("/v1/webhooks", json={"url": URL})
        assert (full.status_code, "2 endpoints" in full.json()["detail"]) == (422, True)


async def test_nobody_sees_or_changes_anothers(guarded: Keyed) -> None:
    client = guarded.client
    alice, bob = [bearer((await guarded.key(name))[1]) for name in ("alice", "bob")]
    reader = bearer((await guarded.key("alice", frozenset({"read"})))[1])
    made = (await client.post("/v1/webhooks", json={"url": URL}, headers=alice)).json()
    path = f"/v1/webhooks/{made['id']}"
    sent = (await client.post(f"{path}/test", headers=alice)).json()
    delivery = f"/v1/webhooks/deliveries/{sent['id']}"
    for method, where in (
        *(("GET", path), ("DELETE", path), ("POST", f"{path}/test"), ("POST", f"{path}/secret/rotate")),
        *(("GET", delivery), ("POST", f"{delivery}/retry")),
    ):
        assert (await client.request(method, where, headers=bob)).status_code == 404
    assert (await client.post(path, json={"enabled": False}, headers=bob)).status_code == 404
    assert (await client.get("/v1/webhooks", headers=bob)).json() == {"webhooks": []}
    assert (await client.get("/v1/webhooks/deliveries", headers=bob)).json()["deliveries"] == []
    forbidden = await client.get("/v1/webhooks/deliveries?owner=alice", headers=bob)
    assert forbidden.status_code == 403
    secrets = [
        (await client.get("/v1/webhooks/secret", headers=each)).json()["secret"] for each in (alice, bob)
    ]
    assert len(set(secrets)) == 2
    assert (await client.get("/v1/webhooks/secret", headers=reader)).status_code == 403
    assert "secret" not in (await client.get(path, headers=reader)).json()
    assert (await client.get(delivery, headers=reader)).status_code == 200


async def marked(client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue, **fields: Any) -> Any:
    """What the envelope of a new job has as its webhook."""
    answer = await client.post("/v1/jobs", json={"inputs": "x", **fields})
    assert answer.status_code == 202, answer.text
    payload = await redis.get(await queue.key(keys.JOB, answer.json()["id"]))
    assert payload is not None
    return msgspec.msgpack.decode(payload)["k"].get("webhook")


async def test_a_job_has_its_webhook_and_the_mark_of_its_owner(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    assert await marked(client, redis, queue) is None, "jobs of owners without endpoints cost nothing"
    own = {"url": URL, "events": ["job.failed"]}
    assert await marked(client, redis, queue, webhook=own) == own
    made = await created(client)

    async def known() -> bool:
        return bool(await marked(client, redis, queue))

    await until(known)
    assert await marked(client, redis, queue) == {"endpoints": True}
    assert await marked(client, redis, queue, webhook={"url": URL}) == {"url": URL, "endpoints": True}
    await client.post(f"/v1/webhooks/{made['id']}", json={"enabled": False})

    async def forgotten() -> bool:
        return not await marked(client, redis, queue)

    await until(forgotten)


async def test_a_repeated_request_is_the_same_whether_or_not_there_are_endpoints_by_now(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    body, headers = {"inputs": "x", "webhook": {"url": URL}}, {"idempotency-key": "k"}
    first = (await client.post("/v1/jobs", json=body, headers=headers)).json()["id"]
    await created(client)

    async def known() -> bool:
        return bool(await marked(client, redis, queue))

    await until(known)
    again = await client.post("/v1/jobs", json=body, headers=headers)
    assert (again.json()["id"], again.headers["idempotency-replayed"]) == (first, "true")
    other = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("webhook", "pointer"),
    [
        ("https://example.org", "/webhook"),
        ({}, "/webhook"),
        (None, "/webhook"),
        ({"url": ""}, "/webhook/url"),
        ({"url": "https://localhost/"}, "/webhook/url"),
        ({"url": "http://example.org/"}, "/webhook/url"),
        ({"url": URL, "events": ["batch.completed"]}, "/webhook/events/0"),
        ({"url": URL, "events": []}, "/webhook/events"),
        ({"url": URL, "secret": "x"}, "/webhook"),
    ],
)
@pytest.mark.parametrize("size", [1, 400_000])
async def test_a_bad_webhook_of_a_job_is_refused(
    client: httpx.AsyncClient, webhook: Any, pointer: str, size: int
) -> None:
    body = {"model": "shapes", "inputs": ["x" * 1_000] * (size // 1000 or 1), "webhook": webhook}
    answer = await client.post("/v1/jobs", json=body)
    assert (answer.status_code, answer.json()["pointer"]) == (422, pointer), answer.text


async def test_forms_and_media_have_webhooks_too(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    for text, expected in ((URL, {"url": URL}), (msgspec.json.encode({"url": URL}).decode(), {"url": URL})):
        files = {"inputs": (None, "x"), "webhook": (None, text)}
        job_id = (await client.post("/v1/jobs", files=files)).json()["id"]
        payload = await redis.get(await queue.key(keys.JOB, job_id))
        assert payload is not None
        assert msgspec.msgpack.decode(payload)["k"]["webhook"] == expected
    for text in ("{", "http://example.org/", "{}", "[]"):
        bad = await client.post("/v1/jobs", files={"inputs": (None, "x"), "webhook": (None, text)})
        assert bad.status_code == 422
        assert bad.json()["pointer"].startswith("/webhook")


async def test_foreign_records_are_left_out(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    made = await created(client)
    odd: dict[str, bytes] = {"we_x": b"?", "secret:": b"{}", "we_" + "0" * 24: b"\xff", "secret:a b": b"[]"}
    await redis.hset("batchline:webhooks", mapping=odd)  # type: ignore[misc]
    assert [each["id"] for each in (await client.get("/v1/webhooks")).json()["webhooks"]] == [made["id"]]
    assert (await client.get("/v1/webhooks/secret")).status_code == 404
    await redis.delete("batchline:webhooks")
    await redis.set("batchline:webhooks", "another program's data", ex=60)
    for path in ("/v1/webhooks", "/v1/webhooks/secret"):
        assert (await client.get(path)).status_code == 503
    assert (await client.get("/metrics")).status_code == 200
    assert (await client.post("/v1/jobs", json={"inputs": "x"})).status_code == 202


async def test_metrics_have_what_waits(client: httpx.AsyncClient) -> None:
    made = await created(client)
    await client.post(f"/v1/webhooks/{made['id']}/test")
    text = (await client.get("/metrics")).text
    assert "batchline_webhook_outbox_entries 0.0" in text
    assert 'batchline_webhook_deliveries_total{outcome="undeliverable"} 0.0' in text
    assert "batchline_webhook_oldest_due_seconds" in text
