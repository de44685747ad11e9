"""/v1/usage: whose usage a caller reads, of which time, and what is refused."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from starlette.types import Scope

from api.access.caller import EVERYTHING, Caller
from api.v1 import usage as usage_route
from jobs.access.api_key import DEFAULT_SCOPES
from jobs.ledger import keys
from jobs.monitoring import usage
from jobs.owners import Sender
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.jobs.ledger.test_endings import finished, put
from tests.ledger import COMPUTE_US, TOKENS, JobQueue

JOBS = dict.fromkeys(("succeeded", "failed", "cancelled", "expired"), 0)


class Known:
    """A resolver that knows one caller."""

    def __init__(self, owner: str, *, admin: bool = False) -> None:
        self.caller = Caller(Sender(owner), EVERYTHING if admin else DEFAULT_SCOPES)

    async def resolve(self, scope: Scope) -> Caller:
        return self.caller


@asynccontextmanager
async def as_owner(
    settings: Settings, owner: str, *, admin: bool = False
) -> AsyncIterator[httpx.AsyncClient]:
    async with mounted(settings, resolver=Known(owner, admin=admin)) as (client, _):
        yield client


@pytest.fixture
async def now(queue: JobQueue) -> datetime:
    """The beginning of this hour."""
    return datetime.fromtimestamp(await usage.Usage(queue.shards).hour() * usage.HOUR, UTC)


async def counted(queue: JobQueue, owner: str, ago: int, model: str = "sentiment", **numbers: int) -> None:
    """Writes what a script would have written that many hours ago."""
    hour = await usage.Usage(queue.shards).hour() - ago
    shard = queue.shards.first
    name = shard.key(keys.USAGE, f"{owner}:{hour}")
    await queue.redis.hset(name, mapping={f"{model}:{each}": n for each, n in numbers.items()})  # type: ignore[misc]
    await queue.redis.expire(name, 600)
    await queue.redis.zadd(shard.key(keys.USAGE_OWNERS), {owner: hour}, gt=True)
    await queue.redis.expire(shard.key(keys.USAGE_OWNERS), 600)


def of(answer: httpx.Response, *fields: str) -> list[Any]:
    assert answer.status_code == 200, answer.text
    rows = answer.json()["usage"]
    return [row[fields[0]] if len(fields) == 1 else tuple(row[field] for field in fields) for row in rows]


def rfc(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


async def test_an_owner_reads_its_own_usage(settings: Settings, queue: JobQueue) -> None:
    for owner in ("alice", "bob", "alice"):
        await finished(queue, await put(queue, 0, owner=owner))
    async with as_owner(settings, "alice") as client:
        answers = [await client.get(path) for path in ("/v1/usage", "/v1/usage?owner=alice")]
    assert answers[0].json() == answers[1].json()
    report = answers[0].json()
    [row] = report["usage"]
    assert report["by"] == "total"
    assert row == {
        "owner": "alice",
        "model": "sentiment",
        "from": report["from"],
        "to": report["to"],
        "jobs": JOBS | {"succeeded": 2},
        "inputs": 2,
        "failed_inputs": 0,
        "tokens": 2 * TOKENS,
        "compute_seconds": 2 * COMPUTE_US / 1e6,
    }


async def test_only_an_admin_reads_others(settings: Settings, queue: JobQueue) -> None:
    for owner in ("alice", "bob"):
        await counted(queue, owner, 1, succeeded=1)
    async with as_owner(settings, "carol", admin=True) as client:
        assert of(await client.get("/v1/usage"), "owner") == ["alice", "bob"]
        assert of(await client.get("/v1/usage?owner=bob"), "owner") == ["bob"]
        assert of(await client.get("/v1/usage?owner=nobody"), "owner") == []
    async with as_owner(settings, "carol") as client:
        assert of(await client.get("/v1/usage"), "owner") == []
        refused = [await client.get(f"/v1/usage?owner={owner}") for owner in ("bob", "nobody")]
    assert [answer.status_code for answer in refused] == [403, 403]
    assert refused[0].content == refused[1].content, "it does not show who exists"


async def test_without_keys_there_is_nothing(client: httpx.AsyncClient, queue: JobQueue) -> None:
    await finished(queue, await put(queue, 0))
    assert of(await client.get("/v1/usage"), "owner") == []


async def test_a_caller_without_a_name_reads_nothing(settings: Settings, queue: JobQueue) -> None:
    await counted(queue, "alice", 1, succeeded=1)
    async with as_owner(settings, "") as client:
        assert of(await client.get("/v1/usage"), "owner") == []


async def test_the_default_are_the_last_24_hours(settings: Settings, queue: JobQueue, now: datetime) -> None:
    for ago in (0, 22, 25):
        await counted(queue, "alice", ago, succeeded=1)
    async with as_owner(settings, "alice") as client:
        report = (await client.get("/v1/usage")).json()
    begin, end = (datetime.fromisoformat(report[name]) for name in ("from", "to"))
    assert end - begin == timedelta(hours=24)
    assert end - now in (timedelta(hours=1), timedelta(hours=2))
    assert [row["jobs"]["succeeded"] for row in report["usage"]] == [2]


@pytest.mark.parametrize(
    ("begin", "end", "expected"),
    [
        ("2026-11-29T09:00:00Z", "2026-11-29T10:00:00Z", ("2026-11-29T09:00:00Z", "2026-11-29T10:00:00Z")),
        (
            "2026-11-29T09:59:59.9Z",
            "2026-11-29T10:00:00.001Z",
            ("2026-11-29T09:00:00Z", "2026-11-29T11:00:00Z"),
        ),
        (
            "2026-11-29t09:10:00%2B05:30",
            "2026-11-29 09:00:00Z",
            ("2026-11-29T03:00:00Z", "2026-11-29T09:00:00Z"),
        ),
        ("1999-12-31T23:00:00Z", "2000-01-01T00:00:00Z", ("1999-12-31T23:00:00Z", "2000-01-01T00:00:00Z")),
        ("8999-12-31T22:00:00Z", "8999-12-31T23:59:59Z", ("8999-12-31T22:00:00Z", "9000-01-01T00:00:00Z")),
    ],
)
async def test_times_are_rounded_to_hours(
    client: httpx.AsyncClient, begin: str, end: str, expected: tuple[str, str]
) -> None:
    report = (await client.get(f"/v1/usage?from={begin}&to={end}")).json()
    assert (report["from"], report["to"]) == expected


async def test_rows_are_of_hours_days_or_the_whole_time(
    settings: Settings, queue: JobQueue, now: datetime
) -> None:
    day = now.replace(hour=0) - timedelta(days=2)
    ago = (now - day) // timedelta(hours=1)
    for hours in (1, 22, 23, 24, 30):  # after the beginning of that day
        await counted(queue, "alice", ago - hours, inputs=1)
    await counted(queue, "alice", ago - 23, "other", inputs=7)
    begin, end = day + timedelta(hours=20), day + timedelta(hours=30)
    path = f"/v1/usage?from={rfc(begin)}&to={rfc(end)}&by="
    fields = ("model", "from", "to", "inputs")

    def hour(model: str, hours: int, inputs: int) -> tuple[str, str, str, int]:
        return model, rfc(day + timedelta(hours=hours)), rfc(day + timedelta(hours=hours + 1)), inputs

    async with as_owner(settings, "alice") as client:
        hourly = of(await client.get(path + "hour"), *fields)
        days = of(await client.get(path + "day"), *fields)
        total = of(await client.get(path + "total"), *fields)
    midnight = rfc(day + timedelta(days=1))
    assert hourly == [hour("other", 23, 7), *(hour("sentiment", each, 1) for each in (22, 23, 24))]
    assert days == [
        ("other", rfc(begin), midnight, 7),
        ("sentiment", rfc(begin), midnight, 2),
        ("sentiment", midnight, rfc(end), 1),
    ]
    assert total == [("other", rfc(begin), rfc(end), 7), ("sentiment", rfc(begin), rfc(end), 3)]


@pytest.mark.parametrize(
    ("asked", "parameter", "sentence"),
    [
        ("from=2026-11-29T09:00:00", "from", "has no time or no zone"),
        ("from=2026-11-29", "from", "has no time or no zone"),
        ("to=yesterday", "to", "is not a time; give an RFC 3339 time"),
        ("to=", "to", "is not a time"),
        ("from=1764406800", "from", "is not a time"),
        ("from=2026-11-29T09:00:00+01:00", "from", "in a URL write + as %2B"),
        ("from=2026-02-30T09:00:00Z", "from", "there is no such date"),
        ("from=2026-02-20T09:00:00%2B99:00", "from", "there is no such date, time or zone"),
        ("to=9999-12-31T23:59:59Z", "to", "is not between 1970 and 9000"),
        ("from=0001-01-01T00:00:00%2B10:00", "from", "there is no such"),
        ("from=2026-11-29T09:00:00Z&to=2026-11-29T09:00:00Z", "from", "must be before 'to'"),
        ("from=2026-11-29T09:00:00Z&to=2026-11-28T09:00:00Z", "from", "must be before 'to'"),
        ("from=2026-08-01T00:00:00Z&to=2026-11-29T09:00:00Z", "from", "at most 90 days"),
        ("by=week", "by", "by"),
        ("owner=a*", "owner", "is not the name of an owner"),
        ("owner=", "owner", "is not the name of an owner"),
        ("since=2026-11-29T09:00:00Z", "since", "is unknown; allowed here: by, from, owner, to"),
    ],
)
async def test_what_is_wrong_is_said(
    client: httpx.AsyncClient, asked: str, parameter: str, sentence: str
) -> None:
    answer = await client.get(f"/v1/usage?{asked}")
    problem = answer.json()
    assert (answer.status_code, problem["parameter"]) == (422, parameter)
    assert sentence in problem["detail"]


async def test_ninety_days_are_read_at_once(settings: Settings, queue: JobQueue, now: datetime) -> None:
    await counted(queue, "alice", usage.KEPT_HOURS - 1, inputs=3)
    begin, end = now - timedelta(days=90) + timedelta(hours=1), now + timedelta(hours=1)
    async with as_owner(settings, "alice") as client:
        answer = await client.get(f"/v1/usage?from={rfc(begin)}&to={rfc(end)}&by=day")
    assert of(answer, "inputs") == [3]


async def test_an_answer_that_is_too_large_is_refused(
    settings: Settings, queue: JobQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for ago in range(4):
        await counted(queue, "alice", ago, inputs=1)
    monkeypatch.setattr(usage_route, "MOST_ROWS", 3)
    async with as_owner(settings, "alice") as client:
        answer = await client.get("/v1/usage?by=hour")
        assert of(await client.get("/v1/usage?by=total"), "inputs") == [4]
        monkeypatch.setattr(usage, "MOST_READS", 23)
        too_many = await client.get("/v1/usage")
    assert (answer.status_code, answer.json()["parameter"]) == (422, "by")
    assert "ask for less time" in answer.json()["detail"]
    assert (too_many.status_code, "are too many for one request" in too_many.text) == (422, True)


async def test_an_answer_has_just_the_fields_described(settings: Settings, queue: JobQueue) -> None:
    await finished(queue, await put(queue, 0, owner="alice"))
    async with as_owner(settings, "alice") as client:
        described = (await client.get("/openapi.json")).json()
        report = (await client.get("/v1/usage")).json()
    call = described["paths"]["/v1/usage"]["get"]
    example = call["responses"]["200"]["content"]["application/json"]["example"]

    def fields(kind: str) -> Iterable[str]:
        return set(described["components"]["schemas"][kind]["properties"])

    for shown in (report, example):
        [row] = shown["usage"]
        assert (set(shown), set(row), set(row["jobs"])) == tuple(
            fields(kind) for kind in ("UsageReport", "UsageRow", "UsageJobs")
        )
