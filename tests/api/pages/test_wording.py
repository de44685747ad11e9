"""Counted things in words: one has no s, wherever it is told."""

import httpx
import pytest
from arq.connections import ArqRedis

from api.pages.charts import told
from api.pages.output_rows import view_of
from api.pages.rendering import rate, roughly
from api.pages.visuals import visual
from api.wording import counted, noun
from jobs.monitoring.roster import Roster
from tests.api.markup import parsed
from tests.ledger import heartbeat


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (counted(1, "job"), "1 job"),
        (counted(0, "job"), "0 jobs"),
        (counted(1_234, "input"), "1,234 inputs"),
        (noun("1", "thread"), "thread"),
        (noun("1, 2", "thread"), "threads"),
        (told(1.0, "jobs"), "1 job"),
        (told(1.5, "inputs"), "1.5 inputs"),
        (told(1.0, "ms"), "1 ms"),
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
    await Roster(redis).write(heartbeat(leases=1, window=1, threads=1, budget=1))
    job = (await client.post("/submit", data={"text": "x"})).headers["location"]
    for address in ("/", job, "/fragments/charts"):
        text = f" {parsed((await client.get(address)).text).text} "
        for plural in ("jobs", "inputs", "threads", "tokens", "attempts"):
            assert f" 1 {plural} " not in text, address


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (None, "–"),  # noqa: RUF001 - a dash is what is meant
        (0.25, "0.25 ms"),
        (4.85, "4.8 ms"),
        (243.0, "240 ms"),
        (27_500.0, "28 s"),
        (90_000.0, "1.5 min"),
    ],
)
def test_quantiles_are_told_with_the_digits_that_they_have(value: float | None, words: str) -> None:
    assert roughly(value) == words
