"""A form that is sent again: the same makes no second job, however the first try ended; a change does."""

import httpx
import pytest
from arq.connections import ArqRedis

from api.edge import bodies
from api.edge.memory_budget import OverBudget
from jobs.ledger import keys
from jobs.ledger.ids import created_ms, derived, new_id
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.markup import parsed
from tests.ledger import JobQueue, run_one
from tests.ports import free_port

HERE = {"sec-fetch-site": "same-origin"}
HTMX = HERE | {"hx-request": "true"}


async def typed(client: httpx.AsyncClient, text: str, **more: str) -> dict[str, str]:
    """A form as a browser sends it, with the nonce of a fresh page."""
    page = parsed((await client.get("/try")).text)
    return {"model": "sentiment", "nonce": page.one(id="nonce")["value"], "text": text, **more}


async def accepted(redis: ArqRedis) -> int:
    return int(await redis.zcard(keys.RECENT.pattern))


async def test_the_same_form_makes_no_second_job(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    form = await typed(client, "one")
    first, second = [await client.post("/submit", data=form, headers=HERE) for _ in range(2)]
    assert (first.status_code, second.status_code) == (303, 303)
    assert first.headers["location"] == second.headers["location"]
    assert await accepted(redis) == 1
    lines = await typed(client, "one\ntwo", mode="lines")
    plain = await client.post("/submit", data=lines, headers=HERE)
    swapped = parsed((await client.post("/submit", data=lines, headers=HTMX)).text)
    assert swapped.one(id="job-link")["href"] == plain.headers["location"]
    assert await accepted(redis) == 2


async def test_a_changed_form_is_another_request(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    form = await typed(client, "one\ntwo", mode="lines")
    changes: list[dict[str, str]] = [
        {},
        {"text": "one\nthree"},
        {"text": "one\ntwo\nthree"},
        {"mode": "one"},
        {"p.top_k": "2"},
        {"text": "1\n2", "model": "shapes"},
        {"text": "[1,3]", "model": "shapes", "mode": "one"},
    ]
    answers = [await client.post("/submit", data=form | change, headers=HERE) for change in changes]
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.headers["location"] for answer in answers}) == len(changes)
    assert await accepted(redis) == len(changes)


async def test_what_was_accepted_leaves_a_new_nonce(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    form = await typed(client, "one")
    assert (await typed(client, "one"))["nonce"] != form["nonce"]
    sent = parsed((await client.post("/submit", data=form, headers=HTMX)).text)
    fresh = sent.one(id="nonce", hx_swap_oob="true")["value"]
    assert created_ms(fresh)
    assert fresh != form["nonce"]
    await client.post("/submit", data=form | {"nonce": fresh}, headers=HTMX)
    assert await accepted(redis) == 2, "who submits once more wants it once more"
    for nonce in ("", "nix"):
        assert (await client.post("/submit", data=form | {"nonce": nonce})).status_code == 303
    assert await accepted(redis) == 4, "without a nonce of ours nothing is known to be the same"


async def test_where_the_outcome_is_not_known_the_form_can_be_sent_again(settings: Settings) -> None:
    gone = settings.model_copy(update={"redis_url": f"redis://127.0.0.1:{free_port()}/0"})
    async with mounted(gone) as (client, _):
        form = await typed(client, "kept")
        page = parsed((await client.post("/submit", data=form, headers=HERE)).text)
        assert page.one("form", id="try").one(id="nonce")["value"] == form["nonce"]
        swapped = parsed((await client.post("/submit", data=form, headers=HTMX)).text)
        assert swapped.one(id="nonce", hx_swap_oob="true")["value"] == form["nonce"]
        for each in (page, swapped):
            told = each.one(role="alert")
            assert "a request that was accepted is not run twice" in told.text
            assert told.one("button", form="try").text == "Send again"
        wrong = parsed((await client.post("/submit", data=form | {"text": "", "mode": "lines"})).text)
        assert wrong.one(role="alert").all("button") == [], "it was refused, and that is known"


async def test_what_is_no_longer_kept_can_be_asked_anew(
    client: httpx.AsyncClient, redis: ArqRedis, queue: JobQueue
) -> None:
    form = await typed(client, "one")
    await client.post("/submit", data=form)
    done = await run_one(queue)
    assert done is not None
    await redis.delete(keys.JOB.of(done.id), keys.RESULT.of(done.id))
    over = await client.post("/submit", data=form)
    page = parsed(over.text)
    assert over.status_code == 410
    assert "was sent before, and its results are no longer kept" in page.one(role="alert").text
    fresh = page.one("form", id="try").one(id="nonce")["value"]
    assert (await client.post("/submit", data=form | {"nonce": fresh})).status_code == 303


def test_an_id_follows_from_a_nonce_and_a_content() -> None:
    nonce = new_id()
    made = derived(nonce, b"a")
    assert made == derived(nonce, b"a")
    assert created_ms(made) == created_ms(nonce)
    assert len({made, derived(nonce, b"b"), derived(new_id(), b"a"), nonce}) == 4


async def test_a_form_that_was_not_read_keeps_its_nonce(
    client: httpx.AsyncClient, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its first try may have been accepted, so a new nonce would run it twice."""
    form = await typed(client, "one")
    assert (await client.post("/submit", data=form, headers=HTMX)).status_code == 200

    async def refuse(*_: object) -> bytearray:
        raise OverBudget

    with monkeypatch.context() as busy:
        busy.setattr(bodies, "read", refuse)
        refused = await client.post("/submit", data=form, headers=HTMX)
    assert refused.status_code == 503
    assert parsed(refused.text).all(id="nonce") == [], "the browser's form keeps its own"
    assert (await client.post("/submit", data=form, headers=HTMX)).status_code == 200
    assert await accepted(redis) == 1
