"""The pages of large jobs: nothing is moved or decoded that a page cannot show."""

import asyncio
from pathlib import Path

import httpx
import pytest
from arq.connections import ArqRedis

from jobs.ledger.ids import in_a_row, new_id
from jobs.schema import NewJob
from tests.api import floods
from tests.api.conftest import MODELS
from tests.api.floods import LARGE
from tests.api.markup import parsed
from tests.ledger import JobQueue

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
    """The first column of the page of a job with these inputs, and the line below the table."""
    answer = await client.post("/v1/jobs", json={"inputs": inputs, "model": model})
    page = parsed((await client.get(answer.json()["urls"]["page"])).text)
    rows = page.one(class_="pairs").one("tbody").all("tr")
    more = [element.text for element in page.all("p", class_="more")]
    return [row.all("td")[0].text for row in rows] + more


async def test_a_job_that_is_too_large_says_its_size(client: httpx.AsyncClient) -> None:
    [told] = await shown(client, ["x" * 3_000] * 100)
    assert told.startswith("100 inputs: too large to show (300.4 kB)")
    [told] = await shown(client, ["x" * 100_000] * 24)
    assert told.startswith("24 inputs: too large to show (2.4 MB)")


async def test_the_first_inputs_of_a_job_are_shown(client: httpx.AsyncClient, queue: JobQueue) -> None:
    texts = [f"{number} {'x' * 5_000}" for number in range(40)]
    told = await shown(client, texts)
    assert [text.split()[0] for text in told[:-1]] == [str(number) for number in range(25)]
    assert told[-1].startswith("and 15 more")


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
    assert (await queue.asked(job.job_id)).inputs == ()
    for inputs in ("one", ["one", "two"], ["one"] * 20_000):
        job = await redis.enqueue_job("infer", inputs, _queue_name="batchline:queue:sentiment")
        assert job is not None
        asked = await queue.asked(job.job_id)
        expected = [inputs] if isinstance(inputs, str) else inputs
        assert list(asked.inputs) == expected[: len(asked.inputs)]
        assert len(asked.inputs) in (len(expected), 25)
        assert (await client.get(f"/jobs/{job.job_id}")).status_code == 200


async def test_a_line_that_is_too_large_says_so(client: httpx.AsyncClient, queue: JobQueue) -> None:
    [job_id] = in_a_row(new_id(), 1)
    new = NewJob("sentiment", ["x" * 300_000], 1, {}, "normal", None)
    await queue.submit(new, job_id=job_id)
    page = parsed((await client.get(f"/tries/{job_id}?lines=1")).text)
    assert page.one(id="line-1").all("td")[0].text == "line 1, too large to show here"
