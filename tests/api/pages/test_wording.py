"""Counted things in words: one has no s, wherever it is told."""

import math

import httpx
import pytest
from arq.connections import ArqRedis

from api.pages.charts import amount
from api.pages.output_rows import view_of
from api.pages.rendering import at_most, rate
from api.pages.visuals import visual
from jobs.monitoring.roster import Roster
from jobs.wording import counted, noun
from tests.api.markup import parsed
from tests.ledger import first_shard, heartbeat


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (counted(1, "job"), "1 job"),
        (counted(0, "job"), "0 jobs"),
        (counted(1_234, "input"), "1,234 inputs"),
        (noun("1", "thread"), "thread"),
        (noun("1, 2", "thread"), "threads"),
        (amount(1.0, "jobs"), "1 job"),
        (amount(1.5, "inputs"), "1.5 inputs"),
        (amount(1.0, "ms"), "1 ms"),
        (rate(1 / 60), "0.017"),
        (rate(1 / 30), "0.033"),
        (rate(0.0), "0"),
        (rate(7.25), "7.2"),
        (rate(1_234.5), "1,234"),
        (view_of({"output": [0.5]}).text, "1 number: 0.5"),
        (getattr(visual({"output": [0.5]}, "x").sparkline, "summary", ""), "1 number, 0.5 to 0.5"),
    ],
)
def test_one_is_told_from_many(words: str, expected: str) -> None:
    assert words == expected


async def test_no_page_speaks_of_1_jobs(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    await Roster(first_shard(redis)).write(heartbeat(leases=1, window=1, threads=1, budget=1))
    job = (await client.post("/submit", data={"text": "x"})).headers["location"]
    for address in ("/", job, "/models/sentiment", "/jobs"):
        text = f" {parsed((await client.get(address)).text).text} "
        for plural in ("jobs", "inputs", "threads", "tokens", "attempts"):
            assert f" 1 {plural} " not in text, address


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),  # noqa: RUF001 - a dash is what is meant
        (0.5, "≤ 0.5 ms"),
        (35.0, "≤ 35 ms"),
        (1_500.0, "≤ 1.5 s"),
        (60_000.0, "≤ 1 min"),
        (1_800_000.0, "≤ 30 min"),
        (math.inf, "> 30 min"),
    ],
)
def test_a_percentile_is_shown_as_a_bound(value: float | None, words: str) -> None:
    assert at_most(value) == words
