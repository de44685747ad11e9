"""With keys required: who may call what. Every route is declared, and nothing is answered without a key."""

import pytest
from fastapi.routing import iter_route_contexts
from structlog.testing import capture_logs

from api.access.failed_attempts import FailedAttempts
from api.access.permissions import TABLE, Permissions
from api.app import create_app
from api.problems.problem import Refusal
from api.v1.problems import MEDIA_TYPE as PROBLEM
from jobs.access.api_key import KeyScope, new_secret
from jobs.problem_kinds import TYPE
from jobs.settings import Settings
from tests.api.access.keyed import ADMIN, bearer, keyed

PUBLIC = {path for (_, path), need in TABLE.items() if need == "public"}


def concrete(path: str) -> str:
    return (
        path.replace("{job_id}", "x").replace("{name:path}", "sentiment").replace("{path:path}", "style.css")
    )


def test_every_route_is_declared_and_nothing_else_is(settings: Settings) -> None:
    routes = {
        (method, route.path)
        for route in iter_route_contexts(create_app(settings).routes)
        for method in route.methods or ()
    }
    assert routes | {("GET", "/static/{path:path}")} == set(TABLE)


@pytest.mark.parametrize(("method", "path"), TABLE)
def test_a_request_needs_what_its_route_declares(method: str, path: str) -> None:
    assert Permissions().need(method, concrete(path)) == TABLE[method, path]


@pytest.mark.parametrize(
    "path", ["/nowhere", "/v1/jobs/", "/v1/jobs/x/y", "/metrics/", "/fragments/jobs/a/b"]
)
def test_what_is_not_declared_is_refused(path: str) -> None:
    with pytest.raises(Refusal, match="does not exist"):
        Permissions().need("GET", path)
    with pytest.raises(Refusal, match="does not allow PUT"):
        Permissions().need("PUT", "/v1/jobs")


async def test_without_a_key_only_the_public_paths_are_answered(settings: Settings) -> None:
    async with keyed(settings) as edge:
        assert {"/health/live", "/health/ready", "/static/{path:path}"} <= PUBLIC
        for method, path in [*TABLE, ("GET", "/nowhere"), ("PUT", "/v1/jobs"), ("HEAD", "/metrics")]:
            answer = await edge.client.request(method, concrete(path))
            if path in PUBLIC:
                assert answer.status_code in (200, 400, 503), path  # 400: a sign-in form without its token
            else:
                assert answer.status_code == 401, path
                assert answer.headers["www-authenticate"] == "Bearer"
                if answer.headers["content-type"] == PROBLEM and method != "HEAD":
                    assert answer.json()["type"] == f"{TYPE}unauthorized"


@pytest.mark.parametrize("scope", ["submit", "read", "admin"])
async def test_a_key_is_allowed_what_its_scope_says(settings: Settings, scope: KeyScope) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key("alice", frozenset({scope}))
        for (method, path), need in TABLE.items():
            answer = await edge.client.request(method, concrete(path), headers=bearer(secret))
            allowed = scope == "admin" or need in (scope, "key", "public")
            assert (answer.status_code != 403) == allowed, (method, path)
            if not allowed and answer.headers["content-type"] == PROBLEM:
                assert answer.json()["scope"] == need
                assert repr(need) in answer.json()["detail"]


@pytest.mark.parametrize(
    "headers",
    [
        {"authorization": "Bearer {}"},
        {"authorization": "bearer  {} "},
        {"x-api-key": "{}"},
        {"authorization": "Bearer {}", "x-api-key": "{}"},
    ],
)
async def test_a_key_is_accepted_in_either_header(settings: Settings, headers: dict[str, str]) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key()
        given = {name: value.format(secret) for name, value in headers.items()}
        assert (await edge.client.get("/v1/jobs", headers=given)).status_code == 200
        job = await edge.client.post("/v1/jobs", json={"inputs": "x"}, headers=given)
        assert job.status_code == 202


async def test_keys_that_are_refused(settings: Settings) -> None:
    async with keyed(settings) as edge:
        _, one = await edge.key()
        _, other = await edge.key()
        for headers in (
            {"authorization": f"Bearer {one}", "x-api-key": other},
            {"authorization": f"Basic {one}"},
            {"authorization": one},
            {"authorization": "Bearer"},
            {"x-api-key": ""},
            {"x-api-key": one[:-1]},
            {"authorization": f"Bearer {one} {one}"},
            {"cookie": f"key={one}"},
        ):
            assert (await edge.client.get("/v1/jobs", headers=headers)).status_code == 401, headers
        assert (await edge.client.get(f"/v1/jobs?key={one}&api_key={one}")).status_code == 401


async def test_the_admin_key_of_the_environment_needs_no_stored_key(settings: Settings) -> None:
    async with keyed(settings) as edge:
        assert (await edge.client.get("/metrics", headers=bearer(ADMIN))).status_code == 200


async def test_unknown_paths_are_not_found_with_a_key(settings: Settings) -> None:
    async with keyed(settings) as edge:
        _, secret = await edge.key()
        answers = [await edge.client.get(path, headers=bearer(secret)) for path in ("/v1/x", "/nowhere")]
        wrong = await edge.client.put("/v1/jobs", headers=bearer(secret))
    assert [answer.status_code for answer in answers] == [404, 404]
    assert (wrong.status_code, wrong.headers["allow"]) == (405, "GET, POST")


async def test_many_wrong_keys_are_limited_but_right_ones_work(settings: Settings) -> None:
    async with keyed(settings, max_failed_attempts=5) as edge:
        _, secret = await edge.key()
        answers = [await edge.client.get("/v1/jobs", headers=bearer(new_secret())) for _ in range(7)]
        assert [answer.status_code for answer in answers] == [401] * 5 + [429] * 2
        assert 1 <= int(answers[-1].headers["retry-after"]) <= 60
        assert answers[-1].json()["type"] == f"{TYPE}too-many-attempts"
        assert (await edge.client.get("/v1/jobs", headers=bearer(secret))).status_code == 200
        assert (await edge.client.get("/v1/jobs")).status_code == 401, "no key is no wrong key"


def test_attempts_are_counted_for_each_address(monkeypatch: pytest.MonkeyPatch) -> None:
    attempts = FailedAttempts(2)
    assert [attempts.note("10.0.0.1") is None for _ in range(4)] == [True, True, False, False]
    assert attempts.note("10.0.0.2") is None
    of_one_network = [attempts.note(f"2001:db8::{i}") is None for i in range(3)]
    assert of_one_network == [True, True, False]
    assert attempts.note("2001:db8:1::1") is None
    monkeypatch.setattr("api.access.failed_attempts.WINDOW", 0.0)
    assert attempts.note("10.0.0.1") is None


def test_the_addresses_that_are_counted_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.access.failed_attempts.MAX_ADDRESSES", 10)
    attempts = FailedAttempts(1)
    for i in range(100):
        attempts.note(f"10.0.0.{i}")
    assert list(attempts._counts) == [f"10.0.0.{i}" for i in range(90, 100)]


async def test_refusals_and_first_uses_are_logged_with_owner_and_key(settings: Settings) -> None:
    async with keyed(settings) as edge:
        key, secret = await edge.key("alice", frozenset({"submit"}))
        revoked, revoked_secret = await edge.key("bob")
        await edge.store.revoke(revoked.id)
        await edge.ring.refresh()
        with capture_logs() as logs:
            for _ in range(3):
                await edge.client.post("/v1/jobs", json={"inputs": "x"}, headers=bearer(secret))
                await edge.client.get("/v1/jobs", headers=bearer(secret))
                await edge.client.get("/v1/jobs", headers=bearer(revoked_secret))
    about = {"owner": "alice", "key": key.id, "address": "127.0.0.1"}
    assert logs == [
        {"event": "key used from a new address", "log_level": "info", **about},
        {
            "event": "request forbidden",
            "log_level": "warning",
            "reason": "needs the scope read",
            "count": 1,
            **about,
        },
        {
            "event": "key refused",
            "log_level": "warning",
            "reason": "revoked",
            "count": 1,
            "owner": "bob",
            "key": revoked.id,
            "address": "127.0.0.1",
        },
    ]
