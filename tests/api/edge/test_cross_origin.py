"""CORS: pages of the configured origins may call everything, and read the headers that clients need."""

from collections.abc import AsyncIterator

import httpx
import pytest

from jobs.errors import ConfigurationError
from jobs.settings import Settings, load_settings
from tests.api.api_process import mounted, serving
from tests.ledger import JobQueue, run_one

APP = "https://app.example.org"
OTHER = "https://other.example.org"
PREFLIGHT = {
    "origin": APP,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type,idempotency-key,last-event-id,prefer",
}


def allowing(settings: Settings, origins: str | None) -> Settings:
    return settings.model_copy(update={"cors_origins": origins})


@pytest.fixture
async def client(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    async with mounted(allowing(settings, f"{APP.upper()}, http://localhost:3000")) as (client, _):
        yield client


def is_readable(answer: httpx.Response) -> bool:
    """Whether a browser hands the answer on to a page of APP."""
    allowed = answer.headers.get("access-control-allow-origin") in (APP, "*")
    exposed = set(answer.headers.get("access-control-expose-headers", "").split(", "))
    ours = {"location", "retry-after", "preference-applied", "idempotency-replayed"}
    return allowed and exposed == ours | {"ratelimit", "ratelimit-policy", "x-batchline-job"}


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/some-id", "/v1/models", "/anything"])
async def test_a_preflight_allows_what_clients_send(client: httpx.AsyncClient, path: str) -> None:
    answer = await client.options(path, headers=PREFLIGHT)
    assert answer.status_code == 200
    assert answer.headers["access-control-allow-origin"] == APP
    assert {"POST", "GET", "DELETE"} <= set(answer.headers["access-control-allow-methods"].split(", "))
    assert answer.headers["access-control-allow-headers"] == PREFLIGHT["access-control-request-headers"]


async def test_every_answer_can_be_read(client: httpx.AsyncClient, queue: JobQueue) -> None:
    """Of the express lane, of the other routes, refusals of both, and an event stream."""
    headers = {"origin": APP}
    job = await client.post("/v1/jobs", json={"inputs": "x"}, headers=headers)
    assert (job.status_code, is_readable(job)) == (202, True)
    await run_one(queue)
    here = job.json()["urls"]["self"]
    for path, status in {
        here: 200,
        f"{here}/result": 200,
        f"{here}/events": 200,
        "/v1/jobs": 200,
        "/v1/models": 200,
        "/health/live": 200,
        "/openapi.json": 200,
        f"{here}?wait=x": 422,
        "/v1/jobs?limit=x": 422,
        "/v1/jobs/unknown": 404,
        "/v1/nothing": 404,
    }.items():
        answer = await client.get(path, headers=headers)
        assert (answer.status_code, is_readable(answer)) == (status, True), path
        assert "Origin" in answer.headers["vary"]
    assert is_readable(await client.patch("/v1/jobs", headers=headers))


async def test_an_unexpected_error_can_be_read(settings: Settings) -> None:
    async with mounted(allowing(settings, "*")) as (client, services):
        await services.store.aclose()
        services.ledger.reading._read = None  # type: ignore[assignment]
        answer = await client.get("/v1/jobs/some-id", headers={"origin": APP})
        assert (answer.status_code, is_readable(answer)) == (500, True)


async def test_other_origins_get_nothing(client: httpx.AsyncClient) -> None:
    assert (await client.options("/v1/jobs", headers=PREFLIGHT | {"origin": OTHER})).status_code == 400
    for origin in (OTHER, "null", f"{APP}.evil.example", APP.replace("https", "http")):
        answer = await client.get("/v1/jobs", headers={"origin": origin})
        assert "access-control-allow-origin" not in answer.headers
    assert "access-control-allow-origin" not in (await client.get("/v1/jobs")).headers


async def test_a_star_is_every_origin(settings: Settings) -> None:
    async with mounted(allowing(settings, "*")) as (client, _):
        assert is_readable(await client.get("/v1/jobs", headers={"origin": APP}))
        assert (await client.options("/v1/jobs", headers=PREFLIGHT)).status_code == 200


async def test_a_host_that_is_not_served_is_refused_all_the_same(settings: Settings) -> None:
    """A preflight as well: otherwise a page that rebinds its name would learn that something is here."""
    async with mounted(allowing(settings, "*")) as (client, _):
        host = {"host": "evil.example.org"}
        for answer in (
            await client.options("/v1/jobs", headers=PREFLIGHT | host),
            await client.get("/v1/jobs", headers={"origin": APP} | host),
        ):
            assert answer.status_code == 421
            assert "access-control-allow-origin" not in answer.headers


async def test_it_is_off_by_default(settings: Settings) -> None:
    for origins in (None, ""):
        async with serving(allowing(settings, origins)) as (client, _):
            assert (await client.options("/v1/jobs", headers=PREFLIGHT)).status_code == 405
            answer = await client.get("/v1/jobs", headers={"origin": APP})
            assert not {"access-control-allow-origin", "vary"} & set(answer.headers)


@pytest.mark.parametrize("given", [APP, f"{APP},http://localhost:3000", "*", "", "capacitor://localhost"])
def test_origins_are_accepted(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BATCHLINE_CORS_ORIGINS", given)
    assert Settings().cors_origins == given


@pytest.mark.parametrize(
    "given", ["app.example.org", f"{APP}/", f"{APP}/page", "https://*.example.org", "a b"]
)
def test_what_is_no_origin_is_refused_in_words(monkeypatch: pytest.MonkeyPatch, given: str) -> None:
    monkeypatch.setenv("BATCHLINE_CORS_ORIGINS", given)
    load_settings.cache_clear()
    with pytest.raises(ConfigurationError, match="BATCHLINE_CORS_ORIGINS: give origins such as"):
        load_settings()
    load_settings.cache_clear()
