"""What machines ask: live, ready, metrics."""

from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis
from prometheus_client.parser import text_string_to_metric_families

from jobs.monitoring.histograms import BATCH_ITEMS, LATENCIES, count, empty
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests import valkey
from tests.api.api_process import mounted
from tests.ledger import JobQueue, first_shard, heartbeat, run_one
from tests.ports import free_port


async def scraped(client: httpx.AsyncClient) -> dict[str, float]:
    """`name{label="value",...}` -> value."""
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    return {
        "{}{{{}}}".format(sample.name, ",".join(f'{k}="{v}"' for k, v in sorted(sample.labels.items()))): (
            sample.value
        )
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


async def test_ready_means_that_every_model_can_run(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    answer = await client.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "not ready",
        "checks": {
            "redis": {"ok": True, "level": "good"},
            "model sentiment": {"ok": False, "level": "bad", "reason": "No live worker for sentiment"},
            "model shapes": {"ok": False, "level": "bad", "reason": "No live worker for shapes"},
        },
    }
    roster = Roster(first_shard(redis))
    await roster.write(heartbeat("a"))
    await roster.write(heartbeat("b", "shapes", engine="loading"))
    checks = (await client.get("/health/ready")).json()["checks"]
    assert checks["model sentiment"] == {"ok": True, "level": "good"}
    assert checks["model shapes"] == {
        "ok": False,
        "level": "bad",
        "reason": "No engine of shapes is ready: loading its model",
    }
    await roster.write(heartbeat("c", "shapes", engine="busy"))
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    await roster.remove("a")
    assert (await client.get("/health/ready")).status_code == 503


@pytest.mark.parametrize(
    ("command", "words", "reason"),
    [
        ("CONFIG", "SET maxmemory 1mb", "The memory of Redis is full"),
        ("REPLICAOF", "127.0.0.1 1", "Redis is a replica"),
    ],
)
async def test_a_redis_that_takes_no_writes_is_not_ready(
    settings: Settings, tmp_path: Path, command: str, words: str, reason: str
) -> None:
    with valkey.running(tmp_path) as server:
        async with mounted(settings.model_copy(update={"redis_url": server.url()})) as (client, services):
            await services.store.events.execute_command(command, *words.split())  # type: ignore[no-untyped-call]
            answer = await client.get("/health/ready")
            assert answer.status_code == 503
            assert answer.json()["checks"]["redis"]["reason"].startswith(reason)
            assert (await client.post("/v1/jobs", json={"inputs": "x"})).status_code == 503


async def test_without_redis_the_process_lives_and_says_so(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with mounted(gone) as (client, _):
        assert (await client.get("/health/live")).json() == {"status": "live"}
        ready = await client.get("/health/ready")
        assert ready.status_code == 503
        assert ready.json()["checks"]["redis"]["reason"].startswith("Redis cannot be reached")
        metrics = await scraped(client)
        assert metrics["batchline_redis_up{}"] == 0
        assert metrics["batchline_queue_jobs_limit{}"] == 10_000
        assert "batchline_workers" not in {name.partition("{")[0] for name in metrics}
        for path in ("/v1/jobs", "/v1/models", "/v1/jobs/x"):
            answer = await client.get(path)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
            assert answer.json()["type"] == "urn:batchline:problem:redis-unavailable"


async def test_metrics_count_what_happened(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    await client.post("/v1/jobs", json={"inputs": "x"}, headers={"idempotency-key": "k"})
    await client.post("/v1/jobs", json={"inputs": "x"}, headers={"idempotency-key": "k"})
    await client.post("/v1/jobs?wait=0.01", json={"inputs": "y"})
    await client.post("/v1/jobs", json={"inputs": 7})
    await run_one(queue)
    beat = heartbeat("a", items=7, batches=2, tokens=90, padded_tokens=100, lost_leases=1)
    beat.jobs = {"succeeded": 5, "failed": 1}
    await Roster(first_shard(redis)).write(beat)
    metrics = await scraped(client)
    assert metrics['batchline_jobs_submitted_total{model="sentiment"}'] == 2
    assert metrics["batchline_jobs_replayed_total{}"] == 1
    assert metrics['batchline_requests_refused_total{reason="invalid-request"}'] == 1
    assert metrics['batchline_waits_total{outcome="deadline"}'] == 1
    assert metrics["batchline_waiters{}"] == 0
    assert metrics["batchline_redis_up{}"] == 1
    assert metrics['batchline_queue_jobs{model="sentiment",state="waiting"}'] == 1
    assert metrics['batchline_queue_jobs{model="shapes",state="waiting"}'] == 0
    assert metrics['batchline_queue_oldest_age_seconds{model="sentiment"}'] > 0
    assert metrics['batchline_queue_oldest_age_seconds{model="shapes"}'] == 0
    assert metrics['batchline_workers{model="sentiment"}'] == 1
    assert metrics['batchline_workers{model="shapes"}'] == 0
    assert metrics['batchline_worker_items_total{model="sentiment",worker="a"}'] == 7
    assert metrics['batchline_worker_padded_tokens_total{model="sentiment",worker="a"}'] == 100
    assert metrics['batchline_worker_lost_leases_total{model="sentiment",worker="a"}'] == 1
    assert metrics['batchline_worker_jobs_total{model="sentiment",state="failed",worker="a"}'] == 1
    assert metrics['batchline_worker_jobs_total{model="sentiment",state="expired",worker="a"}'] == 0
    assert 0 <= metrics['batchline_worker_heartbeat_age_seconds{model="sentiment",worker="a"}'] < 5
    assert metrics['batchline_worker_start_time_seconds{model="sentiment",worker="a"}'] == 1_700_000_000


async def test_metrics_tell_why_engines_restarted_and_which_model_is_retired(
    client: httpx.AsyncClient, redis: ArqRedis
) -> None:
    roster = Roster(first_shard(redis))
    fault: dict[str, Any] = {
        "engine": "retired",
        "engine_fault": "its file is gone",
        "engine_retry": 1_700_000_100.0,
    }
    await roster.write(heartbeat("a", engine_restarts=3, restart_reasons={"hung": 1, "memory": 2}, **fault))
    await roster.write(heartbeat("b"))
    metrics = await scraped(client)

    def restarts(worker: str, reason: str) -> float:
        labels = f'model="sentiment",reason="{reason}",worker="{worker}"'
        return metrics[f"batchline_worker_engine_restart_reasons_total{{{labels}}}"]

    assert [restarts("a", reason) for reason in ("crashed", "hung", "memory")] == [0, 1, 2]
    assert restarts("b", "max_resident") == 0
    assert metrics['batchline_worker_engine_restarts_total{model="sentiment",worker="a"}'] == 3
    assert metrics['batchline_worker_engine_retired{model="sentiment",worker="a"}'] == 1
    assert metrics['batchline_worker_engine_retired{model="sentiment",worker="b"}'] == 0


async def test_workers_histograms_are_prometheus_histograms(
    client: httpx.AsyncClient, redis: ArqRedis
) -> None:
    """Of each worker for itself: two that count the same series would make it fall when one leaves."""
    fast, slow = heartbeat("fast", items=17, batches=2), heartbeat("slow")
    fast.queued, fast.queued_sum = empty(LATENCIES), 0.6
    for seconds in (0.2, 0.4):
        count(fast.queued, LATENCIES, seconds)
    fast.batch_items = empty(BATCH_ITEMS)
    for items in (8, 9):
        count(fast.batch_items, BATCH_ITEMS, items)
    for beat in (fast, slow):
        await Roster(first_shard(redis)).write(beat)
    metrics = await scraped(client)

    def value(name: str, worker: str, le: str = "") -> float:
        bound = f'le="{le}",' if le else ""
        return metrics[f'batchline_worker_{name}{{{bound}model="sentiment",worker="{worker}"}}']

    assert [value("job_queued_seconds_bucket", "fast", le) for le in ("0.1", "0.25", "0.5", "+Inf")] == [
        0,
        1,
        2,
        2,
    ]
    assert (value("job_queued_seconds_count", "fast"), value("job_queued_seconds_sum", "fast")) == (2, 0.6)
    assert [value("batch_items_bucket", "fast", le) for le in ("4.0", "8.0", "16.0", "+Inf")] == [0, 1, 2, 2]
    assert value("batch_items_sum", "fast") == 17
    assert value("job_queued_seconds_count", "slow") == 0


@pytest.mark.parametrize("way", ["json", "form"])
async def test_refused_admissions_are_counted_from_0_by_model_and_limit(
    settings: Settings, redis: ArqRedis, way: str
) -> None:
    name = 'batchline_admissions_refused_total{{model="sentiment",reason="{}"}}'
    async with mounted(settings.model_copy(update={"max_queued_jobs": 1})) as (client, _):
        before = await scraped(client)
        assert (before[name.format("jobs")], before[name.format("bytes")]) == (0, 0)
        for _ in range(3):
            if way == "json":
                await client.post("/v1/jobs", json={"inputs": "x"})
            else:
                await client.post("/submit", data={"text": "x"})
        after = await scraped(client)
    assert (after[name.format("jobs")], after[name.format("bytes")]) == (2, 0)


async def test_latency_is_counted_by_route_and_not_by_path(client: httpx.AsyncClient) -> None:
    for path in ("/v1/jobs/a", "/v1/jobs/b", "/nowhere", "/elsewhere"):
        await client.get(path)
    metrics = await scraped(client)
    name = "batchline_http_request_seconds_count"
    assert metrics[f'{name}{{method="GET",route="/v1/jobs/{{job_id}}",status="404"}}'] == 2
    assert metrics[f'{name}{{method="GET",route="none",status="404"}}'] == 2


@pytest.mark.parametrize("path", ["/", "/health/live", "/v1/jobs"])
async def test_head_is_answered_as_get_is(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.head(path)).status_code == (await client.get(path)).status_code
