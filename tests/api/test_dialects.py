"""Dialects side by side: each answers its own requests and refusals. `foreign.py` adds one."""

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.types import Scope
from structlog.testing import capture_logs

from api.access.caller import Caller
from api.app import DIALECTS
from api.problems.problem import Refusal
from api.services import Services
from jobs.ledger.ids import new_id
from jobs.settings import Settings
from tests.api.api_process import mounted, parked
from tests.api.foreign import Labels
from tests.ledger import JobQueue, run_one
from tests.waiting import until

HTML = {"accept": "text/html"}
LOWER = {"x-case": "lower"}
WITH_LABELS = (*DIALECTS, Labels())


@pytest.fixture
async def edge(settings: Settings) -> AsyncIterator[tuple[httpx.AsyncClient, Services]]:
    async with mounted(settings, dialects=WITH_LABELS) as edge:
        yield edge


@pytest.fixture
def client(edge: tuple[httpx.AsyncClient, Services]) -> httpx.AsyncClient:
    return edge[0]


async def test_a_foreign_request_is_a_job_like_any_other(
    edge: tuple[httpx.AsyncClient, Services], queue: JobQueue
) -> None:
    client, services = edge
    asking = asyncio.create_task(client.post("/v1/label", content="A fine film.", headers=LOWER))
    await parked(services)

    async def ran() -> bool:
        return await run_one(queue) is not None

    await until(ran)
    answer = await asking
    assert (answer.status_code, answer.text) == (200, "positive")
    [job] = (await client.get("/v1/jobs")).json()["jobs"]
    assert (await client.get(f"/labels/{job['id']}", headers=HTML)).text == "succeeded"
    counted = services.metrics.registry.get_sample_value
    assert counted("batchline_jobs_submitted_total", {"model": "sentiment"}) == 1
    assert services.budget.held == 0


async def test_a_failed_job_is_an_error_of_the_dialect(
    edge: tuple[httpx.AsyncClient, Services], queue: JobQueue
) -> None:
    client, services = edge
    asking = asyncio.create_task(client.post("/v1/label", content="A fine film."))
    await parked(services)

    async def ran() -> bool:
        return await run_one(queue, [{"error": {"detail": "no film"}}]) is not None

    await until(ran)
    answer = await asking
    assert (answer.status_code, answer.text) == (500, "oops: no film")


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "detail"),
    [
        ("POST", "/v1/label", "", 422, "no text"),
        ("POST", "/v1/label", "x" * 2_000, 413, "the body is larger than 1000 bytes"),
        ("PUT", "/v1/label", "", 405, "/v1/label does not allow PUT"),
        ("GET", "/labels/nonsense", None, 404, "there is no job nonsense"),
        ("DELETE", "/labels/x", None, 405, "/labels/x does not allow DELETE"),
        ("GET", "/labels/a/b", None, 404, "the path /labels/a/b does not exist"),
    ],
)
async def test_it_refuses_in_its_own_form(
    client: httpx.AsyncClient, method: str, path: str, body: str | None, status: int, detail: str
) -> None:
    answer = await client.request(method, path, content=body, headers=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/plain; charset=utf-8")
    assert answer.text == f"oops: {detail}"
    if status == 405:
        assert answer.headers["allow"] == ("POST" if path == "/v1/label" else "GET")


@pytest.mark.parametrize("path", ["/v1/label", "/labels/x"])
async def test_a_bug_is_an_error_of_its_form_too(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr("jobs.ledger.ledger.Ledger.submit", broken)
    monkeypatch.setattr("jobs.ledger.ledger.Ledger.read", broken)
    with capture_logs() as logs:
        answer = await client.request("POST" if path == "/v1/label" else "GET", path, content="x")
    assert (answer.status_code, answer.text.partition(":")[0]) == (500, "oops")
    assert "secret" not in answer.text
    assert [line["event"] for line in logs] == ["unexpected error"]


@pytest.mark.parametrize(
    ("method", "path", "kind"),
    [
        ("POST", "/v1/label", "text/plain; charset=utf-8"),
        ("GET", "/labels/x", "text/plain; charset=utf-8"),
        ("GET", "/labels/x/y", "text/plain; charset=utf-8"),
        ("POST", "/v1/jobs", "application/problem+json"),
        ("GET", "/v1/jobs/x", "application/problem+json"),
        ("GET", "/v1/nowhere", "application/problem+json"),
        ("GET", "/metrics", "application/problem+json"),
        ("GET", "/", "text/html; charset=utf-8"),
        ("GET", "/jobs/x", "text/html; charset=utf-8"),
        ("GET", "/nowhere", "text/html; charset=utf-8"),
        ("GET", "/static/style.css", "text/html; charset=utf-8"),
    ],
)
async def test_what_is_refused_before_any_route_is_reached_has_the_form_of_its_route(
    settings: Settings, method: str, path: str, kind: str
) -> None:
    class Closed:
        async def resolve(self, scope: Scope) -> Caller:
            raise Refusal("cross-site", "closed", headers={"www-authenticate": "Bearer"})

    async with mounted(settings, dialects=WITH_LABELS, resolver=Closed()) as (client, _):
        answer = await client.request(method, path, headers=HTML)
    assert (answer.status_code, answer.headers["content-type"]) == (403, kind)
    assert answer.headers["www-authenticate"] == "Bearer"
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_unknown_host_is_refused_in_the_form_of_the_route(client: httpx.AsyncClient) -> None:
    """But for pages, which would be without their style under that name."""
    evil = {"host": "evil.example", **HTML}
    assert (await client.post("/v1/label", headers=evil)).text.startswith("oops: ")
    assert (await client.get("/", headers=evil)).json()["title"] == "This host name is not served here"


async def test_the_others_refuse_as_ever(client: httpx.AsyncClient) -> None:
    missing = new_id()
    own = await client.get(f"/v1/jobs/{missing}", headers=HTML)
    page = await client.get(f"/jobs/{missing}", headers=HTML)
    script = await client.get("/nowhere")
    assert own.headers["content-type"] == script.headers["content-type"] == "application/problem+json"
    assert (own.json()["instance"], own.json()["message"]) == (f"/v1/jobs/{missing}", own.json()["detail"])
    assert (page.status_code, page.headers["content-type"]) == (404, "text/html; charset=utf-8")


async def test_all_are_described(client: httpx.AsyncClient) -> None:
    """Each by itself."""
    own = (await client.get("/openapi.json")).json()
    assert own == (await client.get("/openapi/batchline.json")).json()
    assert own["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    described = (await client.get("/openapi/labels.json")).json()
    assert described["paths"]["/v1/label"]["post"]["requestBody"]["content"]["text/plain"]
    assert "422" not in described["paths"]["/labels/{job_id}"]["get"]["responses"]
    assert not described["paths"].keys() & own["paths"].keys()
    for path, title in {"/docs": "API", "/docs/labels": "Labels"}.items():
        page = await client.get(path)
        assert page.status_code == 200
        assert f"<h1>{title}</h1>" in page.text
        assert ("The label of a text." in page.text) == (path == "/docs/labels")
        assert '<a href="/docs/labels"' in page.text
    for path in ("/openapi/pages.json", "/docs/pages", "/docs/nothing"):
        assert (await client.get(path)).status_code == 404
