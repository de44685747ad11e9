"""The health line: a reason whenever it is not green, and none that is older than 2 s."""

from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from api.health.condition import condition
from jobs.ledger import keys
from jobs.ledger.shard import Depth
from jobs.monitoring.roster import Roster
from jobs.monitoring.work import Work
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.pages.test_overview import read, submitted
from tests.ledger import JobQueue, first_shard, heartbeat

FINE = {"role": "master", "maxmemory": 0, "used_memory": 1, "maxmemory_policy": "noeviction"}


def depths(**fields: Any) -> dict[str, Depth]:
    return {"m": replace(Depth(0, 0, 0, 0), **fields)}


def restart(lasted: float, load: float) -> dict[str, float]:
    return {"restarting_seconds": lasted, "load_seconds": load}


@pytest.mark.parametrize(
    ("info", "queue", "beats", "level", "words"),
    [
        ({}, {}, [{}], "good", []),
        ({}, {}, [], "bad", ["No live worker for m"]),
        ({}, {"waiting": 1}, [], "bad", ["No live worker for m; 1 job waits"]),
        (
            {},
            {"waiting": 2, "running": 5},
            [],
            "bad",
            ["No live worker for m; 2 jobs wait and 5 jobs were running"],
        ),
        ({}, {}, [{"age": 1.9}], "good", []),
        ({}, {}, [{"age": 2.1}], "warn", ["Worker host:1 of m has sent no heartbeat for 2 s"]),
        ({}, {}, [{"age": 3.2}, {"age": 4.1}], "bad", ["Each worker of m has sent no heartbeat for 3 s"]),
        ({}, {}, [{}, {"age": 2.1, "pid": 7}], "warn", ["Worker host:7 of m has sent no heartbeat for 2 s"]),
        (
            {},
            {"running": 5, "late": 3},
            [{}],
            "warn",
            ["3 jobs of m seem to have lost their worker: the jobs run again when their leases end (6 s"],
        ),
        (
            {},
            {"running": 5, "late": 1},
            [],
            "bad",
            ["No live worker for m; 5 jobs were running"],
        ),
        ({}, {}, [{"engine": "loading"}], "bad", ["No engine of m is ready: loading its model"]),
        (
            {},
            {"waiting": 3},
            [{"engine": "restarting"}],
            "warn",
            ["The engine of m is restarting; 3 jobs wait"],
        ),
        ({}, {}, [{"engine": "restarting", **restart(9.9, 0.5)}], "warn", ["The engine of m is restarting"]),
        (
            {},
            {"waiting": 3},
            [{"engine": "restarting", **restart(10.1, 0.5)}],
            "bad",
            ["No engine of m is ready: restarting for 10 s (the last load took 0.5 s); 3 jobs wait"],
        ),
        ({}, {}, [{"engine": "restarting", **restart(119, 60)}], "warn", ["The engine of m is restarting"]),
        (
            {},
            {},
            [{"engine": "restarting", **restart(121, 60)}, {"engine": "loading"}],
            "bad",
            ["No engine of m is ready: loading its model, restarting for 121 s (the last load took 60 s)"],
        ),
        (
            {},
            {},
            [{"engine": "restarting", **restart(20, 1)}, {"engine": "restarting", **restart(2, 1)}],
            "warn",
            ["Each engine of m is restarting"],
        ),
        ({}, {}, [{}, {"engine": "restarting"}], "warn", ["An engine of m is restarting (host:1)"]),
        ({}, {"waiting": 89}, [{}], "good", []),
        ({}, {"waiting": 90}, [{}], "warn", ["The queue of m is nearly full (90 of 100 jobs)"]),
        (
            {},
            {"deferred": 60, "running": 40},
            [{}],
            "warn",
            ["The queue of m is full: submits are refused (100 of 100 jobs)"],
        ),
        ({}, {"bytes": 900}, [{}], "warn", ["The queue of m is nearly full (900 of 1,000 bytes)"]),
        (
            {},
            {"damage": "batchline:queue:m holds a string where a zset belongs"},
            [{}],
            "bad",
            ["The queue of m cannot be used, because another program wrote to Redis: batchline:queue:m"],
        ),
        ({"maxmemory_policy": "allkeys-lru"}, {}, [{}], "warn", ["Redis may evict keys (allkeys-lru)"]),
        ({"role": "slave"}, {}, [{}], "bad", ["Redis is a replica and accepts no writes"]),
        ({"maxmemory": 100, "used_memory": 90}, {}, [{}], "warn", ["nearly full: 90% of its maxmemory"]),
        ({"maxmemory": 100, "used_memory": 100}, {}, [{}], "bad", ["The memory of Redis is full"]),
        ({"aof_last_write_status": "ok"}, {}, [{}], "good", []),
        ({"aof_last_write_status": "err"}, {}, [{}], "bad", ["Redis cannot write its append-only file"]),
        (
            {"maxmemory": 100, "used_memory": 95},
            {"waiting": 1},
            [],
            "bad",
            ["No live worker for m", "nearly full"],
        ),
    ],
)
def test_health_has_a_reason_whenever_it_is_not_green(
    info: dict[str, Any], queue: dict[str, Any], beats: list[dict[str, Any]], level: str, words: list[str]
) -> None:
    settings = Settings(max_queued_jobs=100, max_queued_bytes=1_000, lease=6.0)
    live = [heartbeat(f"w{i}", "m", **fields) for i, fields in enumerate(beats)]
    found = condition(settings, {"": FINE | info}, (), depths(**queue), live, {"m": Work()})
    assert found.level == level
    assert len(found.reasons) == len(words)
    for reason, word in zip(found.reasons, words, strict=True):
        assert word in reason.text


async def test_a_model_whose_worker_is_silent_is_silent(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    await Roster(first_shard(redis)).write(heartbeat(engine="busy"))
    await fell_silent(redis, "host-1", 4)
    page = await read(client, "/fragments/overview")
    assert page.one("tr", id="model-sentiment").one(class_="pill").text == "silent"
    assert page.one("tr", id="worker-host-1").one(class_="pill").text == "silent"
    assert "Worker host:1 of sentiment has sent no heartbeat for" in page.one("section", class_="bad").text


async def fell_silent(redis: ArqRedis, worker_id: str, ago: int) -> None:
    seconds, _ = await redis.time()
    await redis.zadd(keys.ROSTER.pattern, {worker_id: (seconds - ago) * 1000})


async def test_a_silent_worker_beside_another_counts_no_more(
    client: httpx.AsyncClient, redis: ArqRedis
) -> None:
    for name, pid in (("alive", 1), ("killed", 2)):
        await Roster(first_shard(redis)).write(heartbeat(name, engine="busy", pid=pid))
    await Roster(first_shard(redis)).write(heartbeat("other", "shapes"))
    page = await read(client, "/fragments/overview")
    assert "All is well." in page.one("section", class_="good").text
    assert page.one("tr", id="model-sentiment").one(class_="pill").text == "2 workers"
    await fell_silent(redis, "killed", 3)
    page = await read(client, "/fragments/overview")
    assert "Worker host:2 of sentiment has sent no heartbeat for" in page.one("section", class_="warn").text
    assert page.one("tr", id="model-sentiment").one(class_="pill").text == "busy"
    assert page.one("tr", id="worker-killed").one(class_="pill").text == "silent"


async def test_jobs_of_a_lost_worker_are_told_of_until_they_run_again(
    settings: Settings, redis: ArqRedis
) -> None:
    """Also once the worker itself is off the roster: theirs are the leases that nobody renews."""
    for name, model in (("alive", "sentiment"), ("other", "shapes")):
        await Roster(first_shard(redis)).write(heartbeat(name, model))
    settings = settings.model_copy(update={"lease": 600.0})
    queue = JobQueue(redis, settings, ["sentiment"])
    async with mounted(settings) as (client, _):
        lost, kept = await submitted(client), await submitted(client)
        await queue.claim("sentiment", 2)

        async def renewed(job_id: str, seconds: int) -> None:
            """As if its last renewal had been so much later than it was."""
            await redis.zincrby(keys.QUEUE.of("sentiment"), 1000 * seconds, job_id)

        for job_id in (lost, kept):
            await renewed(job_id, 300)  # so that it is not late, however long the pages take
        page = await read(client, "/fragments/overview")
        assert "All is well." in page.one("section", class_="good").text
        assert (await read(client, f"/jobs/{lost}")).all("p", class_="health") == []
        await renewed(lost, -600)
        again = "when its lease ends (600 s after the last renewal)"
        text = (await read(client, "/fragments/overview")).one("section", class_="warn").text
        assert text == f"1 job of sentiment seems to have lost its worker: the job runs again {again}."
        text = (await read(client, f"/jobs/{lost}")).one("p", class_="health").text
        assert text == f"The worker of this job seems lost: the job runs again {again}."
        assert (await read(client, f"/jobs/{kept}")).all("p", class_="health") == []
    await queue.close()


async def test_the_page_says_that_a_policy_loses_jobs(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    await redis.config_set("maxmemory-policy", "allkeys-lru")
    try:
        page = await read(client, "/fragments/overview")
    finally:
        await redis.config_set("maxmemory-policy", "noeviction")
    assert "set maxmemory-policy to noeviction" in page.one("section", class_="health").text


@pytest.mark.parametrize(
    ("failed", "inputs", "words"),
    [
        (0, 0, ""),
        (2, 2, ""),
        (3, 3, "All 3 inputs of m failed in the last 5 minutes"),
        (9, 10, ""),
        (18, 20, "18 of 20 inputs of m failed in the last 5 minutes (90%)"),
        (2, 20, "2 of 20 inputs of m failed in the last 5 minutes (10%)"),
        (19, 200, ""),
    ],
)
def test_failed_inputs_degrade_a_model_and_never_make_it_unready(
    failed: int, inputs: int, words: str
) -> None:
    work = {"m": Work(inputs=inputs, inputs_failed=failed)}
    found = condition(Settings(), {"": FINE}, (), depths(), [heartbeat("w", "m")], work)
    assert found.level == ("warn" if words else "good")
    assert [reason.text for reason in found.reasons] == ([words] if words else [])


RETIRED = {"engine": "retired", "engine_fault": "No module named 'nix'.", "engine_retry": 1_700_000_000.0}


@pytest.mark.parametrize(
    ("engines", "level"),
    [
        ({"a": [{}], "b": [RETIRED]}, "warn"),
        ({"a": [RETIRED], "b": [RETIRED]}, "bad"),
        ({"a": [], "b": [RETIRED]}, "bad"),
        ({"a": [{"engine": "loading"}], "b": [RETIRED]}, "bad"),
        ({"a": [{}], "b": [RETIRED, {}]}, "warn"),
    ],
)
def test_a_retired_model_is_bad_for_itself_and_not_for_the_others(
    engines: dict[str, list[dict[str, Any]]], level: str
) -> None:
    beats = [heartbeat(f"{m}{i}", m, **e) for m, each in engines.items() for i, e in enumerate(each)]
    queues = {model: Depth(2, 0, 0, 0) for model in engines}
    found = condition(Settings(), {"": FINE}, (), queues, beats, dict.fromkeys(engines, Work()))
    assert found.level == level
    [reason] = found.checks["model b"]
    text = "No module named 'nix'; it is loaded again at 22:13:20 UTC"
    if len(engines["b"]) == 1:
        assert (reason.level, reason.text) == ("bad", f"b is retired: {text}; 2 jobs wait")
    else:
        assert (reason.level, reason.text) == ("warn", f"An engine of b is retired (host:1): {text}")


STUCK = {"engine": "restarting", **restart(100, 1)}


@pytest.mark.parametrize(
    ("engines", "level"),
    [
        ({"a": [{}], "b": [{"engine": "restarting"}]}, "warn"),
        ({"a": [{"engine": "restarting"}], "b": [{"engine": "restarting"}]}, "warn"),
        ({"a": [{}], "b": [STUCK]}, "warn"),
        ({"a": [STUCK], "b": [STUCK]}, "bad"),
        ({"a": [RETIRED], "b": [STUCK]}, "bad"),
        ({"a": [], "b": [{"engine": "restarting"}]}, "bad"),
    ],
)
def test_a_restart_does_not_take_the_server_out_of_a_load_balancer(
    engines: dict[str, list[dict[str, Any]]], level: str
) -> None:
    """A client's input can cause one, and the model's own limits do."""
    beats = [heartbeat(f"{m}{i}", m, **e) for m, each in engines.items() for i, e in enumerate(each)]
    queues = {model: Depth(2, 0, 0, 0) for model in engines}
    found = condition(Settings(), {"": FINE}, (), queues, beats, dict.fromkeys(engines, Work()))
    assert found.level == level
