"""Every route as somebody else: nothing of another owner's job is shown, and nothing is done to it.

`walk.py` has every route of the application. A new route fails the test until it is there.
"""

import re
from collections.abc import AsyncIterator, Iterator
from typing import Any, NamedTuple

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis
from fastapi.routing import iter_route_contexts
from starlette.types import Scope

from api.access.caller import EVERYTHING, Caller
from api.app import App, create_app
from api.services import Services
from bulk.files.file import NewFile
from hooks.deliveries import NewDelivery, Target
from hooks.endpoints import Endpoint, new_secret
from hooks.events import Event
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.ledger.leasing import Progress
from jobs.ledger.partials import Output
from jobs.monitoring.failures import FailureReason
from jobs.monitoring.roster import Roster
from jobs.owners import Sender
from jobs.schema import Job, NewJob
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.api.walk import ERRORS, FORM, OWN_NAME, UPLOADED, WALK, WHOSE, Ask
from tests.bulk.batches.table import asked as asked_batch
from tests.bulk.contents import once
from tests.ledger import MODEL, SHARDS, JobQueue, ending, first_shard, heartbeat, with_files

SECRET = "no-one-elses-business"  # noqa: S105 - in all that is Alice's

FILE = "0-0.png"
BATCH_DIGITS = "0" * 32
BATCH = f"batch_{BATCH_DIGITS}"
"""The id of Alice's batch."""
MEDIUM = SECRET.encode() * 1_000

ERROR: dict[str, Any] = {
    "error": {"type": "urn:batchline:problem:input-failed", "title": "t", "detail": SECRET}
}
OUTPUT: dict[str, Any] = {"output": [{"label": SECRET, "score": 0.5}]}


ENDPOINT = Endpoint(
    id=f"we_{7:024x}", owner="alice", url=f"https://example.org/{SECRET}", secret=new_secret()
)
DELIVERY = NewDelivery(
    "alice", Event("evt_7", "webhook.test", ENDPOINT.id, b"{}"), Target(ENDPOINT.url, "", ENDPOINT.id)
)


class ByHeader:
    """The caller is named by a header: the admin `root`, or an owner."""

    async def resolve(self, scope: Scope) -> Caller:
        name = dict(scope["headers"]).get(b"x-caller", b"").decode()
        if name == "root":
            return Caller(Sender("root"), EVERYTHING)
        return Caller(Sender(name), frozenset({"submit", "read"}))


class Alices(NamedTuple):
    """Alice's jobs, one of each kind, in a running application."""

    client: httpx.AsyncClient
    services: Services
    queue: JobQueue
    ids: dict[str, str]

    def as_(self, name: str) -> httpx.AsyncClient:
        self.client.headers["x-caller"] = name
        return self.client

    async def work(self) -> None:
        """Two workers send heartbeats with errors of Alice's jobs; the pages show these for some seconds."""
        roster = Roster(first_shard(self.queue.redis))
        seconds, _ = await self.queue.redis.time()
        reasons = [FailureReason("input-failed", SECRET, 3, self.ids["failed"], float(seconds))]
        await roster.write(heartbeat("host-1", failures=reasons))
        again = float(seconds + 60)
        await roster.write(heartbeat("host-2", engine="retired", engine_fault=SECRET, engine_retry=again))

    async def jobs(self) -> list[Job]:
        """As they are, except those that are gone."""
        return [await self.queue.read(job_id) for kind, job_id in self.ids.items() if kind != "gone"]


@pytest.fixture
async def alices(
    settings: Settings, redis: ArqRedis, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Alices]:
    settings = settings.model_copy(update={"lease": 600.0, "shards": SHARDS})
    queue = JobQueue(redis, settings, [MODEL, "shapes"], "host-1")

    async def submit(*media: bytes, **how: Any) -> str:
        text = [*media, *(f"{SECRET} {number}" for number in range(3 - len(media)))]
        job = NewJob(
            MODEL, text, 3, {"note": SECRET}, "normal", keep_inputs=True, has_media=bool(media), **how
        )
        return (await queue.submit(job))[0].id

    alice = Sender("alice")
    ids = {}
    for kind, results in (
        ("succeeded", [OUTPUT] * 3),
        ("large", [OUTPUT, {"output": SECRET * 30_000}, OUTPUT]),
        ("partly", [OUTPUT, ERROR, OUTPUT]),
        ("failed", [ERROR] * 3),
        ("gone", [OUTPUT] * 3),
    ):
        ids[kind] = await submit(sender=alice, expires_in=None)
        [claimed], _ = await queue.claim(MODEL, 3)
        await queue.finish(MODEL, [ending(claimed, results)])
    await redis.delete(*[await queue.key(kind, ids["gone"]) for kind in (keys.RESULT, keys.JOB)])
    ids["with files"] = await submit(MEDIUM, sender=alice, expires_in=None)
    [claimed], _ = await queue.claim(MODEL, 3)
    await queue.store([(claimed, FILE, MEDIUM)])
    await queue.finish(MODEL, [with_files(ending(claimed, [OUTPUT] * 3))])
    ids["running"] = await submit(sender=alice, expires_in=None, stream=True)
    [claimed], _ = await queue.claim(MODEL, 3)
    await queue.start([claimed])
    await queue.append(claimed, 0, Output(0, SECRET, 1))
    known = [b'{"index":%d,%b' % (i, msgspec.json.encode(OUTPUT)[1:]) for i in range(2)]
    await queue.note([Progress(claimed.id, claimed.token, 0, 2, 0, known)])
    ids["expired"] = await submit(sender=alice, expires_in=60.0)
    await redis.zadd(await queue.beside(keys.DEADLINES, ids["expired"]), {ids["expired"]: 1})
    await queue.sweep(MODEL)
    ids["cancelled"] = await submit(sender=alice, expires_in=None)
    await queue.cancel(ids["cancelled"])
    ids["queued"] = await submit(sender=alice, expires_in=None)

    async with mounted(settings, resolver=ByHeader()) as (client, services):
        with monkeypatch.context() as patched:
            patched.setattr("bulk.files.files.new_id", lambda: UPLOADED)
            await services.files.create(
                NewFile(owner="alice", purpose="batch", filename=SECRET), once(SECRET.encode())
            )
            patched.setattr("bulk.batches.batches.new_id", lambda: BATCH_DIGITS)
            await services.batches.create(asked_batch("alice", metadata={"note": SECRET}))
        await services.hooks.store.create(ENDPOINT)
        await services.hooks.deliveries.put([DELIVERY])
        yield Alices(client, services, queue, ids)
    await queue.close()


def routes(settings: Settings) -> Iterator[tuple[str, str]]:
    for route in iter_route_contexts(create_app(settings).routes):
        assert route.path is not None
        yield from ((method, route.path) for method in route.methods or ["GET"])


def test_the_walk_has_every_route_and_every_parameter(settings: Settings) -> None:
    assert set(routes(settings)) == set(WALK)
    walked = {(method, path.replace(":path", "")): asked for (method, path), asked in WALK.items()}
    app = create_app(settings)
    assert isinstance(app, App)
    described = [
        item for name in app.descriptions.titles for item in app.descriptions.of(name)["paths"].items()
    ]
    for path, calls in described:
        for method, call in calls.items():
            asked = walked[method.upper(), path]
            for given in call.get("parameters", []):
                name = given["name"]
                if given["in"] == "query":
                    assert any(f"{name}=" in ask.query for ask in asked) or name == "limit", (path, name)
                elif given["in"] == "path":
                    assert name.endswith("_id") or name in ("name", "place", "model"), "known to the walk"


async def answer(
    client: httpx.AsyncClient, route: tuple[str, str], ask: Ask, job_id: str
) -> tuple[httpx.Response, str]:
    """The answer, and its text and headers without the id of the request, and without ages, which grow."""
    method, path = route
    address = path.replace("{job_id}", job_id).replace("{name:path}", MODEL)
    address = (
        address.replace("{batch_id}", BATCH)
        .replace("{webhook_id}", ENDPOINT.id)
        .replace("{delivery_id}", DELIVERY.id)
    )
    address = address.replace("{file_id}", UPLOADED).replace("{name}", FILE).replace("{place:path}", "0")
    query = ask.query.replace("{id}", job_id).replace("{tail}", job_id[-7:])
    how = dict(ask.how)
    if data := how.get("data"):
        how["data"] = {name: value.replace("{id}", job_id) for name, value in data.items()}
    found = await client.request(method, address + query, **how)
    text = re.sub(r">(now|\d+ (s|min))<", ">AGE<", f"{found.headers} {found.text}")
    return found, text.replace(job_id, "ID").replace(job_id[-7:], "TAIL")


@pytest.mark.parametrize("name", ["bob", "alic", ""])
async def test_nothing_of_anothers_is_shown_or_changed(alices: Alices, name: str) -> None:
    client, before = alices.as_(name), await alices.jobs()
    for route, asked in WALK.items():
        for ask in asked:
            await alices.work()
            about_a_job = "{job_id}" in route[1]
            if about_a_job or "{" in ask.query or "data" in ask.how:
                unknown, text_of_unknown = await answer(client, route, ask, new_id())
            for kind, job_id in alices.ids.items():
                found, text = await answer(client, route, ask, job_id)
                where = f"{route} {ask.query}: {kind} job"
                assert SECRET not in text, where
                assert "alice" not in text, where
                assert not [each for each in alices.ids.values() if each in text], where
                assert found.status_code < 500 or route[1] == "/health/ready", where
                if "_id}" in route[1]:
                    assert found.status_code == 404, where
                if about_a_job or "{" in ask.query:
                    assert found.status_code == unknown.status_code, where
                    assert text == text_of_unknown, where
    assert await alices.services.files.get(UPLOADED, sees="alice")
    assert (await alices.services.hooks.endpoint(ENDPOINT.id, sees="alice")).secret == ENDPOINT.secret
    assert (await alices.services.hooks.deliveries.read(DELIVERY.id, sees="alice")).state == "pending"
    assert await alices.jobs() == before
    assert len(before) == len(alices.ids) - 1


async def read(alices: Alices, route: tuple[str, str]) -> str:
    """All that a reading route shows; the stream of a job that has not ended would not end."""
    texts = []
    for ask in WALK[route]:
        await alices.work()
        for kind, job_id in alices.ids.items():
            if not route[1].endswith("/events") or kind not in ("queued", "running"):
                texts.append((await answer(alices.client, route, ask, job_id))[0].text)
    return "\n".join(texts)


async def test_an_admin_sees_all_and_whose(alices: Alices) -> None:
    alices.as_("root")
    shown = {route: await read(alices, route) for route in WALK if route[0] == "GET"}
    for route, text in shown.items():
        assert (SECRET in text) or route not in ERRORS, route
        assert ("alice" in text) is (route in WHOSE), route
        if "_id}" in route[1]:
            assert SECRET in text, route
    job = (await alices.client.get(f"/v1/jobs/{alices.ids['large']}")).json()
    assert (job["owner"], SECRET in str(job["results"])) == ("alice", True)
    own = await alices.client.post("/v1/jobs?wait=0.01", json={"inputs": "x"})
    assert own.json()["owner"] == "root"
    assert (await alices.client.delete(f"/v1/jobs/{alices.ids['queued']}")).json()["owner"] == "alice"


async def test_the_owner_sees_its_own_jobs_only(alices: Alices) -> None:
    theirs = (await alices.as_("bob").post("/v1/jobs", json={"inputs": "bobs"})).json()["id"]
    client = alices.as_("alice")
    for route in WALK:
        if route[0] == "GET":
            text = await read(alices, route)
            assert theirs not in text, route
            assert '"owner":' not in text.replace('"owner":{', "") or route in OWN_NAME, route
            if "_id}" in route[1] or route in {
                ("GET", "/v1/jobs"),
                ("GET", "/jobs"),
                ("GET", "/v1/files"),
                ("GET", "/v1/batches"),
            }:
                assert SECRET in text, route
    listed = (await client.get("/v1/jobs?limit=100")).json()
    assert {job["id"] for job in listed["jobs"]} == set(alices.ids.values()) - {alices.ids["gone"]}
    assert (await client.get(f"/v1/jobs/{alices.ids['gone']}")).status_code == 410
    assert (await client.delete(f"/v1/jobs/{alices.ids['running']}")).json()["status"] == "cancelled"


async def test_a_key_of_another_owner_finds_no_job(alices: Alices) -> None:
    async def submitted(name: str) -> tuple[str, bool]:
        headers = {"idempotency-key": "key"}
        found = await alices.as_(name).post("/v1/jobs", json={"inputs": "x"}, headers=headers)
        return found.json()["id"], "idempotency-replayed" in found.headers

    first = {name: (await submitted(name))[0] for name in ("alice", "bob", "", "root")}
    assert len(set(first.values())) == 4
    for name, job_id in first.items():
        assert await submitted(name) == (job_id, True)


async def test_the_form_of_another_owner_finds_no_job(alices: Alices) -> None:
    """Even with its nonce and its content."""
    form, made = FORM | {"nonce": new_id()}, set()
    for name in ("alice", "bob", ""):
        found = [await alices.as_(name).post("/submit", data=form) for _ in range(2)]
        assert {each.status_code for each in found} == {303}
        [address] = {each.headers["location"] for each in found}
        made.add(address)
        assert (await alices.client.get(address)).status_code == 200
    assert len(made) == 3
