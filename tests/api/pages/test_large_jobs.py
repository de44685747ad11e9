"""The pages of large jobs: nothing is moved or decoded that a page cannot show."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.ledger.leasing import Progress
from tests.api import floods
from tests.api.conftest import MODELS
from tests.api.floods import LARGE
from tests.api.markup import Element, parsed
from tests.ledger import JobQueue, run_one, with_results

LISTS = b'{"model":"shapes","inputs":[%b1]}' % ((b"[%b1]," % (b"[]," * 30_000)) * 70)
"""70 inputs of 30,000 lists: as Python objects, more than 100 MB."""
PAGES = 40
GROWTH = 100
"""MiB that the process may grow by while all these pages are read; one such job decoded takes more."""
JSON = {"content-type": "application/json"}


@pytest.mark.attack(
    "pages of large jobs, 40 at once",
    held="their inputs are not read, other requests are answered meanwhile",
)
@pytest.mark.parametrize("body", [LARGE, LISTS], ids=["texts", "lists"])
async def test_pages_of_large_jobs_take_no_memory(
    tmp_path: Path, redis: ArqRedis, redis_url: str, body: bytes
) -> None:
    async with (
        floods.serving(tmp_path, MODELS, redis_url) as api,
        httpx.AsyncClient(base_url=api.url, timeout=60) as client,
    ):
        answer = await client.post("/v1/jobs", content=body, headers=JSON)
        assert answer.status_code == 202, answer.text
        path = f"/jobs/{answer.json()['id']}"
        page = await client.get(path)
        assert (page.status_code, "too large to show" in page.text) == (200, True)
        before = api.peak()

        async def read() -> None:
            assert (await client.get(path)).status_code == 200

        await asyncio.gather(*(read() for _ in range(PAGES)))
        assert api.peak() < before + GROWTH


async def shown(client: httpx.AsyncClient, inputs: object, model: str = "sentiment") -> list[str]:
    """The inputs on the page of a job, if it shows any, and the lines below the table."""
    answer = await client.post("/v1/jobs", json={"inputs": inputs, "model": model})
    page = await read(client, answer.json()["id"])
    rows = page.one(class_="pairs").one("tbody").all("tr")
    more = [element.text for element in page.all("p", class_="more")]
    return [row.all("td")[0].text for row in rows if len(row.all("td")) == 2] + more


async def read(client: httpx.AsyncClient, job_id: str) -> Element:
    return parsed((await client.get(f"/jobs/{job_id}")).text)


async def test_a_job_that_is_too_large_gives_its_size_once(client: httpx.AsyncClient) -> None:
    [size, more] = await shown(client, ["x" * 3_000] * 100)
    assert size == "The inputs are too large to show here (300.4 kB)."
    assert more.startswith("and 75 more inputs")
    [size] = await shown(client, ["x" * 100_000] * 24)
    assert size == "The inputs are too large to show here (2.4 MB)."


async def test_a_large_job_that_ended_shows_its_results(client: httpx.AsyncClient, queue: JobQueue) -> None:
    """Its inputs are deleted, which the page says once and not in each row."""
    answer = await client.post("/v1/jobs", json={"inputs": ["x" * 3_000] * 40})
    job_id = answer.json()["id"]
    results: list[dict[str, Any]] = [{"output": f"result {i}"} for i in range(40)]
    results[31] = {"error": {"detail": "the text is wrong"}}
    await run_one(queue, results)
    page = await read(client, job_id)
    [first, failed] = page.one(class_="pairs").all("tbody")
    assert [row.text for row in first.all("tr")] == [f"{i + 1} result {i}" for i in range(25)]
    assert [row.text for row in failed.all("tr")] == ["Failed inputs after these", "32 the text is wrong"]
    assert page.text.count("not kept") == 1
    assert "and 14 more inputs" in page.text


async def test_the_first_of_large_results_are_shown(client: httpx.AsyncClient, queue: JobQueue) -> None:
    asked = {"inputs": [f"input {i}" for i in range(30)], "keep_inputs": True}
    answer = await client.post("/v1/jobs", json=asked)
    await run_one(queue, [{"output": f"{i} " + "x" * 50_000} for i in range(30)])
    page = await read(client, answer.json()["id"])
    results = [row.all("td")[1].text for row in page.one(class_="pairs").one("tbody").all("tr")]
    assert [text.split()[0] for text in results[:10]] == [str(i) for i in range(10)]
    assert results[10:] == ["too large to show"] * 15


async def test_the_first_inputs_of_a_job_are_shown(client: httpx.AsyncClient, queue: JobQueue) -> None:
    texts = [f"{number} {'x' * 5_000}" for number in range(40)]
    told = await shown(client, texts)
    assert [text.split()[0] for text in told[:-1]] == [str(number) for number in range(25)]
    assert told[-1].startswith("and 15 more inputs")


async def test_structure_is_decoded_only_as_far_as_a_page_needs(client: httpx.AsyncClient) -> None:
    """A text is cheap however long; of lists each costs 50 times its bytes."""
    heavy: list[list[int]] = [[]] * 30_000
    told = await shown(client, [{"a": 1}, heavy, "x" * 30_000, [2]], "shapes")
    assert (told[0], told[1], told[3]) == ('{"a":1}', "too large to show", "[2]")
    assert told[2].startswith("xxx")


async def test_a_stock_clients_job_is_shown_as_well(
    client: httpx.AsyncClient, queue: JobQueue, redis: ArqRedis
) -> None:
    job = await redis.enqueue_job("infer", note="x" * 20_000, _queue_name="batchline:queue:sentiment")
    assert job is not None
    assert (await queue.inputs_of(job.job_id)).inputs == ()
    for inputs in ("one", ["one", "two"], ["one"] * 20_000):
        job = await redis.enqueue_job("infer", inputs, _queue_name="batchline:queue:sentiment")
        assert job is not None
        asked = await queue.inputs_of(job.job_id)
        expected = [inputs] if isinstance(inputs, str) else inputs
        assert list(asked.inputs) == expected[: len(asked.inputs)]
        assert len(asked.inputs) in (len(expected), 25)
        assert (await client.get(f"/jobs/{job.job_id}")).status_code == 200


async def running(client: httpx.AsyncClient, queue: JobQueue, inputs: int, known: list[bytes]) -> list[str]:
    """The rows of a running job with these known results, without their numbers."""
    answer = await client.post("/v1/jobs", json={"inputs": ["x"] * inputs})
    [claimed], _ = await queue.claim("sentiment", 1)
    await queue.note([Progress(claimed.id, claimed.token, 0, len(known), 0, known)])
    page = await read(client, answer.json()["id"])
    return [row.all("td")[1].text for row in page.one(class_="pairs").one("tbody").all("tr")]


async def test_a_large_known_result_is_not_decoded_at_each_refresh(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    heavy = b'{"index":1,"output":[%b[]]}' % (b"[]," * 40_000)
    assert await running(client, queue, 3, [heavy, b'{"index":0,"output":"small"}']) == [
        "not shown yet",  # it is known, but behind more bytes than a refresh reads
        "too large to show",
        "not shown yet",
    ]


async def test_known_results_that_are_not_read_are_not_called_unknown(
    client: httpx.AsyncClient, queue: JobQueue
) -> None:
    known = [b'{"index":%d,"output":"%b"}' % (i, b"x" * 20_000) for i in range(8)]
    rows = await running(client, queue, 9, known)
    assert [text[:1] for text in rows[:4]] == ["x"] * 4
    assert rows[4:] == ["not shown yet"] * 5


async def test_another_programs_progress_harms_no_page(client: httpx.AsyncClient, queue: JobQueue) -> None:
    foreign = [b"foreign", b"[1]", b'{"output":1}', b'"\\ud800"', b'{"index":0,"output":"ours"}']
    assert (await running(client, queue, 2, foreign))[0] == "ours"


@pytest.mark.parametrize("inputs", [3, 300])
async def test_outputs_that_cannot_be_drawn_harm_no_page(
    client: httpx.AsyncClient, queue: JobQueue, inputs: int
) -> None:
    """The engine encodes lists nested up to 948 deep, and integers of any size."""
    asked = {"model": "shapes", "inputs": ["x"] * inputs, "keep_inputs": True}
    answer = await client.post("/v1/jobs", json=asked)
    shapes = JobQueue(queue.redis, queue.settings, ["shapes"])
    [claimed], _ = await shapes.claim("shapes", 1)
    deep = b"[" * 940 + b"1" + b"]" * 940
    outputs = [b"[1%b]" % (b"0" * 400), b"[%b1]" % (b"1e308," * 300), deep]
    outputs += [b'"%b"' % (b"x" * 2_000)] * (inputs - 3)
    results = b"[%b]" % b",".join(b'{"output":%b}' % output for output in outputs)
    assert await shapes.finish("shapes", [with_results(claimed, results, inputs, "shapes")]) == set()
    page = await client.get(f"/jobs/{answer.json()['id']}")
    assert page.status_code == 200
    rows = parsed(page.text).one(class_="pairs").one("tbody").all("tr")
    assert [row.all("td")[1].text[:20] for row in rows[:3]] == [
        "too large to show",
        "301 numbers: 1e+308,",
        "too large to show",
    ]
    assert "nan" not in page.text
