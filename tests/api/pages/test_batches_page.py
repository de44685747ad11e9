"""The pages of batches: the list, one batch with its failed lines and files, and the cancel button."""

from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import msgspec
import pytest

from api.pages.batch_figures import MAX_BYTES, MAX_LINES, TOO_LONG, figures
from api.pages.batches_page import PAGE
from api.services import Services
from bulk.batches.batch import Asked, Batch, BatchState, Counts, Fault
from bulk.batches.runs import NewOutput, Part, Runs, Taken
from bulk.files.file import new_id
from jobs.owners import Sender
from jobs.settings import Settings
from tests.api.access.browser import Browser, token
from tests.api.access.keyed import ADMIN, Keyed, bearer
from tests.api.api_process import mounted
from tests.api.markup import Element, parsed
from tests.api.pages.test_overview import read

Edge = tuple[httpx.AsyncClient, Services]


@pytest.fixture
async def edge(settings: Settings) -> AsyncIterator[Edge]:
    async with mounted(settings) as edge:
        yield edge


async def created(services: Services, owner: str = "", **fields: Any) -> Batch:
    asked = Asked("/v1/embeddings", "file-12345678", "24h", 86_400, Sender(owner), **fields)
    return await services.batches.create(asked)


async def begun(services: Services, total: int) -> Taken:
    """The oldest batch that no runner has, in progress."""
    runs = Runs(services.ledger.shards.first)
    taken = await runs.take()
    assert taken is not None
    await runs.begin(taken, model="sentiment", total=total, chunks=2, table="t")
    return taken


async def ended(services: Services, taken: Taken, failed: Sequence[dict[str, Any]]) -> None:
    """The batch with an error file of these lines."""
    runs, file_id = Runs(services.ledger.shards.first), new_id()
    for chunk in range(2):
        await runs.chunk_done(taken, chunk, Part(f"{chunk}-a", 0, len(failed) if chunk else 0, 0, 0))

    async def content() -> AsyncIterator[bytes]:
        yield b"".join(msgspec.json.encode(line) + b"\n" for line in failed)

    size = await services.files.write(file_id, content())
    await runs.finalize(taken)
    file = NewOutput("error_file_id", file_id, "errors.jsonl", size)
    await runs.finish(taken, [file])


def refused(custom_id: str, message: str) -> dict[str, Any]:
    body = {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
    return {"custom_id": custom_id, "response": {"status_code": 400, "body": body}, "error": None}


def rows(page: Element) -> dict[str, Element]:
    return {row["id"]: row for row in page.one(id="batches").all("tr") if "id" in row.attributes}


async def test_the_list_shows_progress(edge: Edge) -> None:
    client, services = edge
    assert "No batch yet" in (await read(client, "/batches")).one(id="batches").text
    first, second = await created(services), await created(services)
    taken = await begun(services, 2_000)
    await Runs(services.ledger.shards.first).chunk_done(taken, 0, Part("0-a", 1_497, 3, 0, 0))
    found = rows(await read(client, "/batches"))
    assert list(found) == [second.id, first.id], "the newest first"
    assert found[second.id].one(class_="pill").text == "validating"
    row = found[first.id]
    assert row.one(class_="pill").text == "in progress"
    assert (row.one("progress")["max"], row.one("progress")["value"]) == ("2000", "1500")
    assert "1,500 of 2,000" in row.text
    assert "/s" in row.text
    fragment = await client.get("/fragments/batches")
    assert first.id in fragment.text
    assert "<html" not in fragment.text


async def test_all_batches_are_on_some_page(edge: Edge) -> None:
    client, services = edge
    made = [(await created(services)).id for _ in range(2 * PAGE + 1)][::-1]
    page = await read(client, "/batches")
    seen = list(rows(page))
    while older := page.one("nav", aria_label="Pages").all("a", rel="next"):
        page = await read(client, older[0]["href"])
        assert page.one(id="batches")["hx-get"].startswith("/fragments/batches?after=")
        seen += rows(page)
    assert seen == made
    gone = await client.get("/batches?after=batch_nix")
    assert (gone.status_code, "no longer contains" in gone.text) == (410, True)
    assert (await client.get("/fragments/batches?after=batch_nix")).status_code == 204


async def test_a_batch_ends_with_its_failed_lines_and_files(edge: Edge) -> None:
    client, services = edge
    batch = await created(services, metadata={"night": "<b>monday</b>"})
    path = f"/batches/{batch.id}"
    page = await read(client, path)
    assert page.one("h1").text == "Batch validating"
    assert "<b>monday</b>" in page.text
    assert page.one(id="batch")["hx-get"] == f"/fragments{path}"
    taken = await begun(services, MAX_LINES + 5)
    failed: list[dict[str, Any]] = [refused(f"line {i}", f"<i>reason</i> {i}") for i in range(MAX_LINES + 4)]
    failed[1] = {"custom_id": "late", "response": None, "error": {"code": "batch_expired", "message": ""}}
    body = {"title": "Invalid request", "detail": "our own form"}
    failed[2] = {"custom_id": "ours", "response": {"status_code": 422, "body": body}, "error": None}
    failed[3] = {"custom_id": "odd", "response": {"status_code": 500, "body": [1]}, "error": None}
    await ended(services, taken, failed)
    page = await read(client, path)
    assert page.one("h1").text == "Batch completed"
    assert not page.all(id="cancel")
    assert "hx-get" not in page.one(id="batch").attributes, "it asks no more"
    [table] = page.all("table")
    reasons = [row.text for row in table.one("tbody").all("tr")]
    assert reasons[:4] == [
        "line 0 400 <i>reason</i> 0",
        "late – batch_expired",  # noqa: RUF001 - the dash is intended
        "ours 422 our own form",
        "odd 500 no reason was given",
    ]
    assert len(reasons) == MAX_LINES
    assert f"The error file has all {MAX_LINES + 4}" in page.text
    links = {link.text: link["href"] for link in page.one(id="batch").all("a")}
    record = (await client.get(f"/v1/batches/{batch.id}")).json()
    assert links["Errors"] == f"/v1/files/{record['error_file_id']}/content"
    assert len((await client.get(links["Errors"])).text.splitlines()) == MAX_LINES + 4
    await client.delete(f"/v1/files/{record['error_file_id']}")
    assert "The error file was deleted." in (await read(client, path)).text


async def test_a_long_failed_line_is_named(edge: Edge) -> None:
    client, services = edge
    batch = await created(services)
    taken = await begun(services, 2)
    await ended(services, taken, [refused('a "long" one', "x" * MAX_BYTES), refused("short", "why")])
    page = await read(client, f"/batches/{batch.id}")
    [row] = page.one("tbody").all("tr")
    assert row.text == f'a "long" one – {TOO_LONG}'  # noqa: RUF001 - the dash is intended
    assert "The error file has all 2" in page.text


async def test_why_a_file_was_refused(edge: Edge) -> None:
    client, services = edge
    batch, runs = await created(services), Runs(services.ledger.shards.first)
    taken = await runs.take()
    assert taken is not None
    await runs.fail(taken, [Fault("duplicate_custom_id", "the custom_id <b> was used before", 7)])
    page = await read(client, f"/batches/{batch.id}")
    assert page.one("h1").text == "Batch failed"
    assert page.one(id="faults-heading").text == "Why the file was refused"
    assert page.one("tbody").text == "7 duplicate_custom_id the custom_id <b> was used before"


async def test_why_a_batch_failed_after_its_file_was_accepted(edge: Edge) -> None:
    client, services = edge
    batch = await created(services)
    taken = await begun(services, 2)
    await Runs(services.ledger.shards.first).fail(taken, [Fault("data_lost", "it is gone")])
    page = await read(client, f"/batches/{batch.id}")
    assert page.one(id="faults-heading").text == "Why the batch failed"


async def test_the_button_cancels(edge: Edge) -> None:
    client, services = edge
    batch = await created(services)
    page = await read(client, f"/batches/{batch.id}")
    form = page.one("form", class_="cancel")
    answer = await client.post(form["action"])
    assert (answer.status_code, answer.headers["location"]) == (303, f"/batches/{batch.id}")
    assert (await services.batches.retrieve(batch.id, sees=None)).status is BatchState.CANCELLING
    fragment = await client.post(form["hx-post"], headers={"hx-request": "true"})
    assert fragment.status_code == 200
    assert parsed(fragment.text).one("h1").text == "Batch cancelling"


async def test_owners_see_their_own(guarded: Keyed) -> None:
    services = guarded.services
    hers, his = await created(services, "alice"), await created(services, "bob")
    _, secret = await guarded.key("alice")
    browser = Browser(guarded)
    await browser.sign_in(secret)
    page = parsed((await browser.get("/batches")).text)
    assert list(rows(page)) == [hers.id]
    for path in (f"/batches/{his.id}", f"/fragments/batches/{his.id}", "/batches/batch_nix"):
        answer = await browser.get(path)
        assert answer.status_code == 404, path
        assert his.id[-7:] not in answer.text or "there is no batch" in answer.text
    own = await browser.get(f"/batches/{hers.id}")
    refused_form = await browser.http.post(f"/batches/{hers.id}/cancel", data={"token": "wrong"})
    assert refused_form.status_code == 403
    theirs = await browser.http.post(f"/batches/{his.id}/cancel", data={"token": token(own)})
    assert theirs.status_code == 404
    for batch in (hers, his):
        found = await services.batches.retrieve(batch.id, sees=None)
        assert found.status is BatchState.VALIDATING
    everything = await guarded.client.get("/batches", headers=bearer(ADMIN))
    assert list(rows(parsed(everything.text))) == [his.id, hers.id]
    assert "bob" in everything.text


def test_rate_and_time_left() -> None:
    asked = Asked("/v1/jobs", "file-1", "24h", 86_400, Sender(""))
    batch = Batch(
        id="b",
        asked=asked,
        status=BatchState.IN_PROGRESS,
        created_at=0,
        expires_at=86_400_000,
        in_progress_at=10_000,
        counts=Counts(1_000, 190, 10),
    )
    found = figures(batch, 14_000)
    assert (found.done, found.rate, found.left, found.took) == (200, 50.0, 16.0, None)
    done = msgspec.structs.replace(batch, status=BatchState.COMPLETED, completed_at=30_000)
    found = figures(msgspec.structs.replace(done, counts=Counts(1_000, 990, 10)), 99_000)
    assert (found.rate, found.left, found.took) == (50.0, None, 20.0)
    nothing = figures(msgspec.structs.replace(batch, counts=Counts(1_000)), 14_000)
    assert (nothing.rate, nothing.left) == (None, None)
