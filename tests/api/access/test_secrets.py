"""Where a secret never appears: answers, pages, traces and log lines, wherever a client has put it."""

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from structlog.testing import capture_logs

from jobs.access.api_key import digest
from jobs.ledger.ledger import Ledger
from jobs.monitoring import traces
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, Keyed, bearer, keyed

HTML = {"accept": "text/html"}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield exporter
    traces.use(None)


async def requests(edge: Keyed, secret: str) -> list[tuple[int, str]]:
    """The status and the text, headers included, of answers to requests with the secret in odd places."""
    key = bearer(secret)
    client = edge.client
    answers = [
        await client.get(f"/v1/jobs?key={secret}"),
        await client.get(f"/v1/jobs?key={secret}", headers=key),
        await client.get(f"/v1/jobs?limit={secret}", headers=key),
        await client.get(f"/v1/jobs?state={secret}", headers=key),
        await client.get(f"/v1/jobs?cursor={secret}", headers=key),
        await client.get(f"/v1/jobs/{secret}", headers=key),
        await client.get(f"/v1/{secret}", headers=key),
        await client.get(f"/{secret}", headers=key | HTML),
        await client.get(f"/jobs/{secret}", headers=key | HTML),
        await client.get(f"/models/{secret}", headers=key | HTML),
        await client.get(f"/?key={secret}", headers=HTML),
        await client.get(f"/try?key={secret}", headers=key | HTML),
        await client.get("/docs", headers=key | HTML),
        await client.get("/metrics", headers=key),
        await client.get("/metrics", headers=bearer(ADMIN)),
        await client.put("/v1/jobs", headers=key),
        await client.post("/v1/jobs", json={"model": secret, "inputs": "x"}, headers=key),
        await client.post("/v1/jobs", json={secret: secret}, headers=key),
        await client.post("/v1/jobs", content=secret, headers=key | {"content-type": secret}),
        await client.post(f"/v1/jobs?wait={secret}", json={"inputs": "x"}, headers=key),
        await client.post("/v1/jobs", json={"inputs": "x"}, headers=key | {"traceparent": secret}),
        await client.get("/v1/jobs", headers={"authorization": f"Basic {secret}"}),
        await client.get("/v1/jobs", headers={"authorization": f"Bearer {secret}", "x-api-key": "bl_other"}),
        await client.get("/v1/jobs", headers={"x-api-key": f"{secret} {secret}"}),
    ]
    return [(each.status_code, f"{each.headers} {each.text}") for each in answers]


async def test_no_answer_trace_or_log_line_has_a_secret(
    settings: Settings, spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with keyed(settings) as edge:
        key, secret = await edge.key()
        with capture_logs() as logs:
            answers = await requests(edge, secret)

            async def fails(*_: object, **__: object) -> None:
                raise ZeroDivisionError("a bug")

            monkeypatch.setattr(Ledger, "recent", fails)
            broken = await edge.client.get(f"/jobs?key={secret}", headers=bearer(secret) | HTML)
            answers.append((broken.status_code, broken.text))
            await edge.store.revoke(key.id)
            await edge.ring.refresh()
            revoked = await edge.client.get("/v1/jobs", headers=bearer(secret))
            answers.append((revoked.status_code, revoked.text))
    statuses = {status for status, _ in answers}
    assert statuses >= {200, 202, 401, 403, 404, 405, 422, 500}
    assert spans.get_finished_spans()
    exported = "".join(span.to_json() for span in spans.get_finished_spans())
    for hidden in (secret, secret[3:], digest(secret), ADMIN):
        assert [text for _, text in answers if hidden in text] == []
        assert hidden not in exported
        assert hidden not in str(logs)
