"""Where no worker lives for a model, its jobs' pages and the form to try it say so, as the overview does."""

import httpx
import pytest
from arq.connections import ArqRedis

from api.health.condition import UNREACHABLE
from jobs.monitoring.roster import Roster
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import Element, parsed
from tests.ledger import first_shard, heartbeat, run_one
from tests.ports import free_port

HERE = {"sec-fetch-site": "same-origin"}
TODO = "python -m worker"


async def read(client: httpx.AsyncClient, address: str) -> Element:
    return parsed((await client.get(address)).text)


async def addresses(client: httpx.AsyncClient) -> list[str]:
    """Every page that is about one model."""
    job = (await client.post("/submit", data={"text": "one"}, headers=HERE)).headers["location"]
    form = {"text": "one\ntwo", "mode": "lines"}
    lines = (await client.post("/submit", data=form, headers=HERE)).headers["location"]
    return [job, f"/fragments{job}", lines, "/try", "/try?model=sentiment", "/fragments/served"]


async def test_pages_of_one_model_say_that_no_worker_lives_for_it(
    client: httpx.AsyncClient, redis: ArqRedis
) -> None:
    await Roster(first_shard(redis)).write(heartbeat("other", "shapes"))
    pages = await addresses(client)
    overview = (await read(client, "/fragments/overview")).one("section", class_="bad").text
    for address in pages:
        told = (await read(client, address)).one("p", class_="health").text
        assert told.startswith("No live worker for sentiment.")
        assert told.split(".")[0] in overview, "one source of truth"
        assert TODO in told
    await Roster(first_shard(redis)).write(heartbeat("other", "shapes"))  # some of the pages take their time
    assert (await read(client, "/try?model=shapes")).all("p", class_="health") == []

    await Roster(first_shard(redis)).write(heartbeat(engine="loading"))
    for address in pages:
        told = (await read(client, address)).one("p", class_="health").text
        assert told.startswith("No engine of sentiment is ready: loading its model.")
        assert TODO not in told, "it is there already"

    await Roster(first_shard(redis)).write(heartbeat(engine="busy"))
    for address in pages:
        assert (await read(client, address)).all("p", class_="health") == []


async def test_a_job_that_is_done_needs_no_worker(client: httpx.AsyncClient, queue: object) -> None:
    job, fragment, *_ = await addresses(client)
    while await run_one(queue):  # type: ignore[arg-type]
        pass
    for address in (job, fragment):
        assert (await read(client, address)).all("p", class_="health") == []


async def test_the_form_asks_again_for_the_model_that_is_chosen(client: httpx.AsyncClient) -> None:
    assert (await read(client, "/try")).one(id="served")["hx-get"] == "/fragments/served?model=sentiment"
    other = await read(client, "/try?model=shapes")
    assert other.one(id="served")["hx-get"] == "/fragments/served?model=shapes"
    assert "#served" in other.one(id="model")["hx-select-oob"], "a change of the model brings its own"


@pytest.mark.parametrize("path", ["fragments/jobs/x", "fragments/answers/x"])
async def test_a_page_goes_on_asking_while_redis_is_away(settings: Settings, path: str) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with mounted(gone) as (client, _):
        page = await client.get(f"/{path}")
        assert page.status_code == 503
        assert parsed(page.text).one(id="missing")["hx-get"] == f"/{path}"
        page = await client.get("/jobs/x")
        assert page.status_code == 503
        assert parsed(page.text).one(id="missing")["hx-get"] == "/fragments/jobs/x"
        assert parsed(page.text).one("noscript").one("meta")
        told = (await read(client, "/try")).one(id="served").text
        assert told == f"{UNREACHABLE.reasons[0].text}."
