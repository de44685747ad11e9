"""One trace from a client's request through the queue to the end of its job."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from jobs.ledger.wire import decode_payload, deserialize, serialize
from jobs.monitoring import traces
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.waiting import until
from tests.worker.conftest import MODEL, Serving
from tests.worker.conftest import serving as serving  # a BatchWorker beside the test

TRACE = "0af7651916cd43dd8448eb211c80319c"
CALLER = "b7ad6b7169203331"
TRACEPARENT = f"00-{TRACE}-{CALLER}-01"

MODELS = f"""
[models.{MODEL}]
pipeline = "tests.worker.poison:Poison"
parameters = {{ factor = "number" }}
"""


@pytest.fixture
def settings(redis_url: str, tmp_path: Path) -> Settings:
    (tmp_path / "models.toml").write_text(MODELS)
    return Settings(redis_url=redis_url, models_file=tmp_path / "models.toml")


@pytest.fixture
def exporter() -> Iterator[Any]:
    """The exporter that receives the spans; traces are enabled during the test."""
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    exporter = memory.InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    traces.use(provider)
    yield exporter
    traces.use(None)
    provider.shutdown()


@asynccontextmanager
async def served(settings: Settings, serving: Serving) -> AsyncIterator[httpx.AsyncClient]:
    async with mounted(settings) as (client, _), serving():
        yield client


async def spans(exporter: Any, count: int) -> dict[str, Any]:
    """Spans by name, once there are `count` of them."""

    async def ended() -> bool:
        return len(exporter.get_finished_spans()) >= count

    await until(ended)
    found = {span.name: span for span in exporter.get_finished_spans()}
    assert len(found) == count
    return found


async def test_a_trace_crosses_the_queue(settings: Settings, serving: Serving, exporter: Any) -> None:
    async with served(settings, serving) as client:
        headers = {"traceparent": TRACEPARENT}
        job = (await client.post("/v1/jobs?wait=60", json={"inputs": "x"}, headers=headers)).json()
        found = await spans(exporter, 5)
    submit, queued, claim = found["submit"], found["queued"], found["claim"]
    assert (f"{submit.context.trace_id:032x}", f"{submit.parent.span_id:016x}") == (TRACE, CALLER)
    for name in ("queued", "claim", "finish"):
        assert found[name].parent.span_id == submit.context.span_id
        assert found[name].context.trace_id == submit.context.trace_id
        assert found[name].attributes["batchline.job"] == job["id"]
    assert queued.start_time <= queued.end_time == claim.start_time <= claim.end_time
    batch = found["batch"]
    assert batch.parent is None
    assert [link.context.span_id for link in batch.links] == [submit.context.span_id]
    assert batch.attributes["batchline.items"] == 1
    assert found["finish"].attributes["batchline.state"] == "succeeded"
    assert found["finish"].status.is_ok or found["finish"].status.is_unset


async def test_a_failed_job_has_a_failed_span(settings: Settings, serving: Serving, exporter: Any) -> None:
    async with served(settings, serving) as client:
        await client.post("/v1/jobs?wait=60", json={"inputs": "raise"})
        found = await spans(exporter, 5)
    assert found["submit"].parent is None
    assert not found["finish"].status.is_ok
    assert found["finish"].status.description == "input-failed"


async def test_a_trace_that_is_not_sampled_stays_so(
    settings: Settings, serving: Serving, exporter: Any
) -> None:
    async with served(settings, serving) as client:
        headers = {"traceparent": f"{TRACEPARENT[:-1]}0"}
        await client.post("/v1/jobs?wait=60", json={"inputs": "x"}, headers=headers)
    assert exporter.get_finished_spans() == ()


async def test_a_repeated_request_may_have_another_trace(settings: Settings, exporter: Any) -> None:
    """Otherwise each retry of a traced client would count as another request."""
    async with mounted(settings) as (client, _):
        ids = set()
        for last in "12":
            headers = {"traceparent": f"00-{TRACE}-{CALLER[:-1]}{last}-01", "idempotency-key": "k"}
            answer = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
            assert answer.status_code == 202
            ids.add(answer.json()["id"])
    assert len(ids) == 1


@pytest.mark.parametrize("given", [TRACEPARENT, "nonsense", 7, None, "0" * 100_000])
async def test_a_stock_client_may_give_a_trace(
    settings: Settings, serving: Serving, exporter: Any, redis: ArqRedis, given: object
) -> None:
    redis.job_serializer, redis.job_deserializer = serialize, deserialize
    async with serving():
        job = await redis.enqueue_job("infer", ["x"], _queue_name=keys.queue_name(MODEL), traceparent=given)
        assert job is not None
        assert len(await job.result(timeout=60)) == 1
        if given == TRACEPARENT:
            found = await spans(exporter, 4)
            assert f"{found['queued'].parent.span_id:016x}" == CALLER
    if given != TRACEPARENT:
        assert exporter.get_finished_spans() == ()


async def test_without_an_endpoint_nothing_travels(settings: Settings, redis: ArqRedis) -> None:
    async with mounted(settings) as (client, _):
        headers = {"traceparent": TRACEPARENT}
        job = (await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)).json()
    assert decode_payload(await redis.get(keys.JOB.of(job["id"]))).k == {
        "n": 1,
        "priority": "normal",
        "parameters": {},
    }


def run(code: str, **environment: str) -> None:
    """Runs code in a separate process, for modules that are imported or configured only once."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    subprocess.run([sys.executable, "-c", code], check=True, timeout=100, env={**clean, **environment})


@pytest.mark.parametrize(
    ("imported", "of"),
    [("worker.batch_worker", "opentelemetry"), ("api.app", "opentelemetry.sdk")],  # FastAPI imports its API
)
def test_without_an_endpoint_nothing_is_imported(imported: str, of: str) -> None:
    run(
        f"import sys, {imported}; from jobs.monitoring import traces; traces.configure('service');"
        "assert traces.tracer() is None;"
        f"assert not any(name.startswith('{of}') for name in sys.modules)"
    )


def test_without_the_extra_traces_are_off() -> None:
    run(
        "import sys; sys.modules['opentelemetry'] = None;"
        "from jobs.monitoring import traces; traces.configure('api'); assert traces.tracer() is None",
        OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1",
    )


async def test_with_an_endpoint_spans_are_sent_there() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    received: list[tuple[str, bytes]] = []

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append((self.path, self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as collector:
        Thread(target=collector.serve_forever, daemon=True).start()
        await asyncio.to_thread(
            run,
            "from jobs.monitoring import traces; traces.configure('api');"
            "traces.tracer().start_span('one span').end()",  # sent when the process ends
            OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{collector.server_port}",
            OTEL_EXPORTER_OTLP_COMPRESSION="none",
        )
        collector.shutdown()
    [(path, body)] = received
    assert path == "/v1/traces"
    assert b"one span" in body
    assert b"batchline-api" in body
