"""The pages /owners and /usage: what owners use, their keys, and who may see which."""

from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from api.pages.owner_figures import limits_in_words
from cli import key_table
from jobs.access.api_key import ApiKey
from jobs.monitoring.usage import HOUR, Usage
from jobs.owners import Limits, Sender
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, Keyed, bearer, keyed
from tests.api.api_process import mounted
from tests.api.markup import Element, parsed
from tests.api.v1.test_usage import counted
from tests.jobs.ledger.test_endings import finished, put
from tests.ledger import JobQueue

LIMITS = Limits(requests_per_second=2.5, inputs_per_minute=1_000, queued_jobs=1, queued_bytes=2_000_000)


@pytest.fixture
async def site(settings: Settings) -> AsyncIterator[Keyed]:
    async with keyed(settings) as made:
        yield made


async def shown(site: Keyed, path: str, secret: str = ADMIN) -> Element:
    answer = await site.client.get(path, headers=bearer(secret))
    assert answer.status_code == 200, answer.text
    return parsed(answer.text)


def cell(page: Element, row: str, label: str) -> str:
    return page.one("tr", id=row).one("td", data_label=label).text


async def test_an_admin_sees_what_every_owner_used(site: Keyed, queue: JobQueue) -> None:
    now = await Usage(queue.shards).hour()
    await counted(
        queue, "alice", 0, succeeded=2, inputs=1_500, failed_inputs=3, tokens=35_000, compute_us=3_000_000
    )
    await counted(queue, "alice", now % 24 + 1, failed=1, inputs=500, compute_us=7_000_000)
    await counted(queue, "alice", 9 * 24, succeeded=1)
    await counted(queue, "bob", 0, succeeded=1, compute_us=1_000_000)
    page = await shown(site, "/owners")
    assert cell(page, "owner-alice", "Jobs") == "2 3"
    assert cell(page, "owner-alice", "Inputs") == "1.5 k 2.0 k"
    assert cell(page, "owner-alice", "Failed") == "3 3"
    assert cell(page, "owner-alice", "Tokens") == "35 k 35 k"
    assert cell(page, "owner-alice", "Computing") == "3 s 10 s"
    assert cell(page, "owner-bob", "Last 2 h") in ("25 %", "9 %"), "the hour before may be yesterday's last"
    assert "at most 1,500 inputs" in page.one("tr", id="owner-alice").one("svg")["aria-label"]
    assert page.one("a", href="/owners?owner=alice").text == "alice"
    one = await shown(site, "/owners?owner=bob")
    assert not one.all("tr", id="owner-alice")
    assert cell(one, "owner-bob", "Last 2 h") == cell(page, "owner-bob", "Last 2 h")
    assert one.one("section", aria_labelledby="models-heading").one("td", class_="name").text == "sentiment"


async def test_waiting_jobs_and_shares(site: Keyed) -> None:
    key, secret = await site.key("alice", weight=2.5)
    await site.key("bob")
    await site.key("bob", weight=3.0)
    revoked, _ = await site.key("bob", weight=9.0)
    await site.store.revoke(revoked.id)
    for _ in range(3):
        await site.client.post("/v1/jobs", json={"inputs": "x"}, headers=bearer(secret))
    page = await shown(site, "/owners")
    assert (cell(page, "owner-alice", "Waiting"), cell(page, "owner-alice", "Share")) == ("3", "2.5")
    assert cell(page, "owner-bob", "Share") == "1 to 3", "a job has the share of its key"
    assert cell(page, f"key-{key.id}", "Share") == "2.5"
    assert "Last 2 h: part of the time" in page.text
    assert cell(page, "owner-alice", "Last job") == "–"  # noqa: RUF001 - the dash is intended


async def test_an_admin_sees_every_key_but_no_secret(site: Keyed) -> None:
    rotating, _ = await site.key("dave")
    await site.store.rotate(rotating.id, 3_600_000)
    active, secret = await site.key("alice", limits=LIMITS, models=frozenset({"sentiment"}))
    revoked, _ = await site.key("bob", lifetime=86_400_000)
    await site.store.revoke(revoked.id)
    expired, _ = await site.store.create(ApiKey(id="", owner="carol", digest=""), lifetime=0)
    await site.store.note_uses({active.id: active.created + 600_000})  # so that it is "now", however late
    answer = await site.client.get("/owners", headers=bearer(ADMIN))
    assert all(text not in answer.text for text in (secret, active.digest, ADMIN))
    page = parsed(answer.text)
    rows = {key.owner: f"key-{key.id}" for key in (active, revoked, expired, rotating)}
    states = [cell(page, row, "State") for row in rows.values()]
    assert states == ["active", "revoked", "expired", "rotating"]
    snapshot = await site.store.snapshot()
    printed = msgspec.json.decode(key_table.as_json(snapshot.keys, {}, snapshot.now))
    told = {row["owner"]: row["state"] for row in printed}
    assert [told[owner] for owner in rows] == states, "as `batchline keys list` says"
    assert cell(page, rows["alice"], "Scopes") == "read, submit"
    assert cell(page, rows["alice"], "Models") == "sentiment"
    assert cell(page, rows["alice"], "Limits").startswith("2.5 requests/s, 1,000 inputs/min, 1 job queued")
    assert cell(page, rows["bob"], "Limits") == "none"
    assert (cell(page, rows["alice"], "Expires"), cell(page, rows["alice"], "Last use")) == ("never", "now")
    assert cell(page, rows["bob"], "Expires").startswith("20")
    assert page.one("tr", id="owner-bob"), "an owner with a key only"


async def test_an_owner_sees_itself_only(site: Keyed, queue: JobQueue) -> None:
    mine, secret = await site.key("alice")
    theirs, _ = await site.key("bob")
    for owner in ("alice", "bob"):
        await finished(queue, await put(queue, 0, owner=owner))
    refused = await site.client.get("/owners", headers=bearer(secret))
    assert refused.status_code == 403
    answer = await site.client.get("/usage?owner=bob", headers=bearer(secret))
    page = parsed(answer.text)
    assert cell(page, "owner-alice", "Jobs") == "1 1"
    assert page.one("tr", id=f"key-{mine.id}")
    assert all(word not in answer.text for word in ("bob", theirs.id, "Last 2 h"))
    assert cell(page, "owner-alice", "Share") == "1"


async def test_a_job_without_an_owner_says_so(settings: Settings, site: Keyed) -> None:
    """It was submitted while no key was needed."""
    _, secret = await site.key("alice")
    async with mounted(settings) as (client, _):
        await client.post("/v1/jobs", json={"inputs": "x"})
    await site.client.post("/v1/jobs", json={"inputs": "x"}, headers=bearer(secret))
    table = (await shown(site, "/jobs")).one(id="jobs").one("tbody")
    named, nobody = (row.all("td")[1] for row in table.all("tr"))
    assert (named.text, named["title"]) == ("alice", "alice")
    assert nobody.one(class_="faint").text == "none"


async def test_an_admin_is_led_from_anothers_usage_to_that_owner(site: Keyed) -> None:
    answer = await site.client.get("/usage?owner=alice", headers=bearer(ADMIN))
    assert (answer.status_code, answer.headers["location"]) == (303, "/owners?owner=alice")
    answer = await site.client.get("/usage", params={"owner": "a b&c"}, headers=bearer(ADMIN))
    assert answer.headers["location"] == "/owners?owner=a+b%26c"
    assert (await site.client.get("/usage", headers=bearer(ADMIN))).status_code == 200


async def test_without_keys_the_pages_say_so(client: httpx.AsyncClient) -> None:
    owners, usage = await client.get("/owners"), await client.get("/usage")
    assert "No named owner has sent a job, and there are no keys." in owners.text
    assert "Your jobs have no owner" in usage.text
    overview = parsed((await client.get("/")).text)
    assert not overview.all("a", href="/owners")
    assert not overview.all("a", href="/usage")


async def test_the_pages_are_linked(site: Keyed) -> None:
    _, secret = await site.key("alice")
    admin, owner = await shown(site, "/owners"), await shown(site, "/usage", secret)
    assert admin.one("a", href="/owners")["aria-current"] == "page"
    assert owner.one("a", href="/usage")["aria-current"] == "page"
    assert not owner.all("a", href="/owners")


@pytest.mark.parametrize("name", ["a b", "{x}", "*"])
async def test_what_is_no_name_has_no_page(site: Keyed, name: str) -> None:
    answer = await site.client.get("/owners", params={"owner": name}, headers=bearer(ADMIN))
    assert answer.status_code == 404


async def test_the_page_is_bounded(site: Keyed, queue: JobQueue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.pages.owners_page.SHOWN", 2)
    for ago, owner in enumerate(["carol", "bob", "alice"]):
        await counted(queue, owner, ago, succeeded=1, compute_us=1_000_000)
    await site.key("dave")
    page = await shown(site, "/owners")
    names = [row["id"] for row in page.all("tr") if (row.attributes.get("id") or "").startswith("owner-")]
    assert names == ["owner-bob", "owner-carol"]
    assert "not shown" in page.text


async def test_the_page_needs_redis(settings: Settings, site: Keyed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a shard's part it would show too little."""
    site.services.ledger.shards._extend(2)
    site.services.ledger.shards[1].available = False
    assert (await site.client.get("/owners", headers=bearer(ADMIN))).status_code == 503


def test_limits_are_in_words() -> None:
    assert limits_in_words(Limits()) == []
    every = Limits(**dict.fromkeys(Limits.__struct_fields__, 2))
    assert len(limits_in_words(every)) == len(Limits.__struct_fields__), "a new limit needs words"
    assert limits_in_words(LIMITS)[-1] == "2.0 MB queued"
    assert Sender("alice").limits == Limits()
    assert HOUR == 3600
