"""A model whose inputs fail is degraded: page, /health/ready, /metrics and `top` report the same."""

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.health.test_health import scraped
from tests.api.markup import Element, parsed
from tests.faults.clients import nonces
from tests.faults.stack import MODEL, Stack, running
from tests.waiting import until

REASON = "this text is bad"


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with running(tmp_path) as started:
        yield started


@pytest.fixture
async def client(stack: Stack) -> AsyncIterator[httpx.AsyncClient]:
    [url] = stack.apis
    async with httpx.AsyncClient(base_url=url, timeout=30) as made:
        yield made


async def ended(client: httpx.AsyncClient, inputs: list[str]) -> dict[str, Any]:
    job: dict[str, Any] = (await client.post("/v1/jobs?wait=60", json={"inputs": inputs})).json()
    assert job["finished_at"]
    return job


def mixed(good: int, bad: int) -> list[str]:
    texts = nonces(good + bad)
    return [*texts[:good], *(f"{text} raise" for text in texts[good:])]


async def page(client: httpx.AsyncClient, path: str) -> Element:
    return parsed((await client.get(path)).text)


async def reported(client: httpx.AsyncClient, failed: int) -> None:
    """Waits until the worker's heartbeat has reported this number of failed inputs."""
    name = f'batchline_worker_inputs_failed_total{{model="{MODEL}",reason="input-failed",worker='

    async def counted() -> bool:
        metrics = await scraped(client)
        return sum(value for key, value in metrics.items() if key.startswith(name)) == failed

    await until(counted)


async def top(url: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "top", "--once", "--every", "0.1", "--url", url),
        stdout=PIPE,
        env={**os.environ, "COLUMNS": "200"},
    )
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode is not None
    return process.returncode, out.decode()


@pytest.mark.parametrize(
    ("good", "bad", "jobs"), [(1, 9, 3), (0, 1, 20)], ids=["9 of 10 inputs", "all of 20 jobs"]
)
async def test_a_model_whose_inputs_fail_is_degraded_everywhere(
    client: httpx.AsyncClient, good: int, bad: int, jobs: int
) -> None:
    done = [await ended(client, mixed(good, bad)) for _ in range(jobs)]
    failed, inputs = bad * jobs, (good + bad) * jobs
    assert {(job["status"], job["counts"]["failed"]) for job in done} == {
        ("succeeded" if good else "failed", bad)
    }
    await reported(client, failed)
    words = (
        f"{failed} of {inputs} inputs of {MODEL} failed" if good else f"All {inputs} inputs of {MODEL} failed"
    )

    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded")
    check = answer.json()["checks"][f"model {MODEL}"]
    assert (check["ok"], check["level"]) == (True, "degraded")
    assert check["reason"].startswith(words)

    overview = await page(client, "/")
    assert overview.one("section", class_="warn").text.startswith(words)
    assert (
        overview.one("tr", id=f"model-{MODEL}").one(class_="amber")["title"] == f"{failed} of {inputs} inputs"
    )
    assert REASON in overview.one("tr", id=f"why-{MODEL}").text
    card = (await page(client, f"/models/{MODEL}")).one("article", id=f"model-{MODEL}")
    assert f"{failed} of {inputs}" in card.text
    assert REASON in card.one(class_="failures").text
    newest = done[-1]["id"]
    assert card.one(class_="failures").one("a", href=f"/jobs/{newest}")

    assert (await page(client, "/try")).one("p", class_="warn").text.startswith(words)

    status, out = await top(str(client.base_url))
    assert status == 1
    assert words in out.splitlines()[0]
    assert REASON in out


async def test_jobs_that_failed_in_part_are_amber_and_can_be_found(client: httpx.AsyncClient) -> None:
    partial, well = await ended(client, mixed(1, 9)), await ended(client, mixed(10, 0))
    listed = {job["id"]: job["counts"] for job in (await client.get("/v1/jobs")).json()["jobs"]}
    assert listed[partial["id"]] == {"total": 10, "succeeded": 1, "failed": 9, "tokens": None}
    row = (await page(client, "/")).one("tr", id=f"job-{partial['id']}")
    assert row.one(class_="succeeded").text == "succeeded"
    assert row.one(class_="partial").text == "9 of 10 failed"
    assert (await page(client, "/")).one("tr", id=f"job-{well['id']}").all(class_="partial") == []

    filters = (await page(client, "/")).one("nav", aria_label="Filter the recent jobs")
    [link] = [link["href"] for link in filters.all("a") if link.text == "partly failed"]
    rows = [row["id"] for row in (await page(client, link)).one(id="recent").one("tbody").all("tr")]
    assert [row for row in rows if row.startswith("job-")] == [f"job-{partial['id']}"]
    assert (await page(client, f"/jobs/{partial['id']}")).one("h1").one(
        class_="partial"
    ).text == "9 of 10 failed"


async def test_a_few_bad_inputs_among_many_raise_no_alarm(client: httpx.AsyncClient) -> None:
    """Clients may send bad inputs."""
    await ended(client, mixed(60, 3))
    await reported(client, 3)
    answer = await client.get("/health/ready")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    overview = await page(client, "/")
    assert "All is well." in overview.one("section", class_="good").text
    assert "5 %" in overview.one("tr", id=f"model-{MODEL}").text
    assert overview.all(class_="amber") == []


async def test_inputs_that_kill_the_engine_never_make_the_server_unready(
    stack: Stack, client: httpx.AsyncClient
) -> None:
    """Bad inputs from a client must not take the server out of a load balancer."""
    killing = asyncio.gather(
        *(client.post("/v1/jobs?wait=60", json={"inputs": [f"{text} die"]}) for text in nonces(4))
    )
    answers: set[tuple[int, str]] = set()
    while not killing.done():
        answer = await client.get("/health/ready")
        answers.add((answer.status_code, answer.text if answer.status_code != 200 else ""))
    assert {answer.json()["status"] for answer in await killing} == {"failed"}
    assert answers == {(200, "")}

    async def told() -> bool:
        return sum(beat.engine_restarts for beat in await stack.beats()) >= 4

    await until(told)
