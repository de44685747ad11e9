"""A job's page shows its inputs while it is unfinished, and after that if they were kept."""

import shlex

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from jobs.ledger import keys
from tests.api.markup import Element, parsed
from tests.ledger import JobQueue, run_one

HTMX = {"sec-fetch-site": "same-origin", "hx-request": "true"}
NOT_KEPT = "The inputs were not kept. A request with keep_inputs keeps them."


async def submitted(client: httpx.AsyncClient, inputs: object, **asked: object) -> str:
    return str((await client.post("/v1/jobs", json={"inputs": inputs, **asked})).json()["id"])


async def read(client: httpx.AsyncClient, job_id: str) -> Element:
    return parsed((await client.get(f"/jobs/{job_id}")).text)


def rows(page: Element) -> list[str]:
    return [row.text for row in page.one(class_="pairs").one("tbody").all("tr")]


def notes(page: Element) -> list[str]:
    return [note.text for note in page.all("p", class_="more")]


def again(page: Element) -> list[object]:
    """The bodies of the command that submits the job again."""
    found = []
    for line in page.all("pre", id="curl-again"):
        words = shlex.split("".join(map(str, line.children)))
        found.append(msgspec.json.decode(words[words.index("-d") + 1]))
    return found


async def test_the_inputs_of_an_unfinished_job_are_shown(client: httpx.AsyncClient, queue: JobQueue) -> None:
    job_id = await submitted(client, ["good", "bad"])
    page = await read(client, job_id)
    assert (rows(page), notes(page)) == (["1 good not yet", "2 bad not yet"], [])
    assert again(page) == [{"model": "sentiment", "inputs": ["good", "bad"]}]
    await run_one(queue)
    page = await read(client, job_id)
    assert rows(page) == ["1 POSITIVE 0.980", "2 POSITIVE 0.980"]
    assert notes(page) == [NOT_KEPT]
    assert [cell.text for cell in page.one(class_="pairs").one("thead").all("th")] == ["#", "Result"]
    assert again(page) == [], "the command would need the inputs"


@pytest.mark.parametrize("text", ["good", "x" * 20_000], ids=["small", "large"])
async def test_kept_inputs_are_shown_after_the_end(
    client: httpx.AsyncClient, queue: JobQueue, text: str
) -> None:
    job_id = await submitted(client, [text, "bad"], keep_inputs=True)
    unfinished = again(await read(client, job_id))
    await run_one(queue)
    page = await read(client, job_id)
    assert rows(page)[1] == "2 bad POSITIVE 0.980"
    assert notes(page) == []
    assert again(page) == unfinished, "the command is the same before and after the end"
    if len(text) < 100:
        assert unfinished == [{"model": "sentiment", "inputs": [text, "bad"], "keep_inputs": True}]


async def test_kept_inputs_that_are_too_large_for_a_page_are_not_shown(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    job_id = await submitted(client, ["x" * 90_000] * 3, keep_inputs=True)
    await run_one(queue)
    assert notes(await read(client, job_id)) == ["The inputs are too large to show here (270.1 kB)."]


async def test_the_jobs_of_the_form_keep_their_inputs(client: httpx.AsyncClient, queue: JobQueue) -> None:
    form = {"model": "sentiment", "mode": "lines", "text": "one\ntwo"}
    sent = parsed((await client.post("/submit", data=form, headers=HTMX)).text)
    await run_one(queue)
    answers = parsed((await client.get(sent.one(id="answers")["hx-get"])).text)
    assert rows(answers) == ["1 one POSITIVE 0.980", "2 two POSITIVE 0.980"]


async def test_a_cancelled_job_says_it_too(client: httpx.AsyncClient) -> None:
    kept, other = await submitted(client, "x", keep_inputs=True), await submitted(client, "x")
    for job_id in (kept, other):
        await client.delete(f"/v1/jobs/{job_id}")
    assert rows(await read(client, kept)) == ["x none"]
    assert notes(await read(client, other)) == [NOT_KEPT]


async def test_inputs_that_cannot_be_read_are_not_said_to_be_deleted(
    client: httpx.AsyncClient, redis: ArqRedis
) -> None:
    job_id = await submitted(client, "x")
    payload = await redis.get(keys.JOB.of(job_id))
    await redis.set(keys.JOB.of(job_id), payload[:-1])
    assert notes(await read(client, job_id)) == ["The inputs cannot be shown."]
    await redis.set(keys.JOB.of(job_id), payload)
