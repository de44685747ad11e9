"""A request says how long its results are kept, and whether its inputs are. A gone job is told from none."""

import time

import httpx
import msgspec
import pytest
from arq.connections import ArqRedis

from api.edge.decoding import LIGHT_BYTES, THREAD_BYTES
from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.ledger import JobQueue, run_one

SIZES = {"small": 1, "large": LIGHT_BYTES, "heavy": THREAD_BYTES}
"""Bytes of the inputs of bodies that are parsed in different ways."""

DAY = 86_400


async def post(client: httpx.AsyncClient, size: int = 1, **asked: object) -> httpx.Response:
    texts = ["x" * min(size, 50_000)] * max(1, size // 50_000)
    return await client.post("/v1/jobs", json={"inputs": texts, **asked})


async def submitted(client: httpx.AsyncClient, size: int = 1, **asked: object) -> str:
    answer = await post(client, size, **asked)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


def lasts(seconds: float, left: int, began: float) -> bool:
    """Whether a key with so many milliseconds left has this lifetime, given it after `began`."""
    passed = time.monotonic() - began
    return 1000 * (seconds - passed) - 100 < left <= 1000 * seconds


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_request_decides_on_the_lifetime_of_its_job(
    client: httpx.AsyncClient, queue: JobQueue, redis: ArqRedis, size: int
) -> None:
    for asked, seconds in (({}, 3_600), ({"result_ttl": DAY}, DAY), ({"result_ttl": 60.5}, 60.5)):
        job_id = await submitted(client, size, **asked)
        began = time.monotonic()
        await run_one(queue)
        left = await redis.pttl(keys.RESULT.of(job_id))
        assert lasts(seconds, left, began)
        assert not await redis.exists(keys.JOB.of(job_id)), "the inputs are not kept"


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
async def test_a_request_may_keep_its_inputs(
    client: httpx.AsyncClient, queue: JobQueue, redis: ArqRedis, size: int
) -> None:
    job_id = await submitted(client, size, keep_inputs=True, result_ttl=60)
    began = time.monotonic()
    await run_one(queue)
    assert lasts(60, await redis.pttl(keys.JOB.of(job_id)), began)
    await client.delete(f"/v1/jobs/{(cancelled := await submitted(client, keep_inputs=True))}")
    assert await redis.exists(keys.JOB.of(cancelled))


@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({"result_ttl": 0}, "result_ttl: give a number, 1 or more"),
        ({"result_ttl": 0.99}, "result_ttl: give a number, 1 or more"),
        ({"result_ttl": -5}, "result_ttl: give a number, 1 or more"),
        ({"result_ttl": "60"}, "result_ttl: give a number, 1 or more, not a text"),
        ({"result_ttl": None}, "result_ttl: give a number, 1 or more, not null"),
        ({"result_ttl": True}, "result_ttl: give a number, 1 or more, not true or false"),
        ({"result_ttl": DAY + 0.5}, "result_ttl: give at most 86,400 seconds, the limit of this server"),
        ({"result_ttl": 1e300}, "result_ttl: give at most 86,400 seconds, the limit of this server"),
        ({"result_ttl": 10**400}, ""),
        ({"keep_inputs": 1}, "keep_inputs: give true or false, not a whole number"),
        ({"keep_inputs": "yes"}, "keep_inputs: give true or false, not a text"),
        ({"keep_inputs": None}, "keep_inputs: give true or false, not null"),
    ],
    ids=str,
)
async def test_what_cannot_be_kept_like_that_is_refused(
    client: httpx.AsyncClient, redis: ArqRedis, size: int, asked: dict[str, object], detail: str
) -> None:
    answer = await post(client, size, **asked)
    assert answer.status_code == 422, answer.text
    problem = answer.json()
    assert problem["type"] == "urn:batchline:problem:invalid-request"
    if detail:
        assert (problem["detail"], problem["pointer"]) == (detail, f"/{next(iter(asked))}")
    assert not await redis.exists(keys.QUEUE.of("sentiment")), "nothing was submitted"


async def test_the_limit_is_the_operators(settings: Settings) -> None:
    for changed, accepted, refused in (
        ({"max_result_ttl": 7_200.5}, 7_200.5, 7_201),
        ({"result_ttl": 7.0 * DAY}, 7 * DAY, 7 * DAY + 1),
    ):
        async with mounted(settings.model_copy(update=changed)) as (client, _):
            assert (await post(client, result_ttl=accepted)).status_code == 202
            problem = (await post(client, result_ttl=refused)).json()
            assert f"at most {accepted:,}" in problem["detail"]


async def test_a_job_that_was_accepted_is_gone_when_its_lifetime_is_over(
    client: httpx.AsyncClient, queue: JobQueue, redis: ArqRedis
) -> None:
    """The listing knows it for longer than its record is kept, whatever lifetime it asked for."""
    job_id = await submitted(client, result_ttl=1)
    await run_one(queue)
    await redis.delete(keys.RESULT.of(job_id))  # its lifetime is over
    calls = ("", "/result", "/results", "/events")
    for method, path in (*(("GET", call) for call in calls), ("DELETE", "")):
        answer = await client.request(method, f"/v1/jobs/{job_id}{path}")
        assert answer.status_code == 410, path
        assert answer.json()["detail"] == f"job {job_id} ended and its lifetime is over"
    page = await client.get(f"/jobs/{job_id}")
    assert page.status_code == 410

    await redis.zrem(keys.RECENT.of(), job_id)  # newer jobs displaced it
    answer = await client.get(f"/v1/jobs/{job_id}")
    assert (answer.status_code, answer.json()["type"]) == (404, "urn:batchline:problem:unknown-job")
    reasons = "it was never accepted, or it ended and its own result_ttl is over"
    assert answer.json()["detail"] == f"there is no job {job_id}: {reasons}"


async def test_a_made_up_id_is_never_told_to_be_gone(client: httpx.AsyncClient, redis: ArqRedis) -> None:
    future = f"ffffffff{new_id()[8:]}"
    for job_id in ("nix", future):
        answer = await client.get(f"/v1/jobs/{job_id}")
        assert (answer.status_code, answer.json()["detail"]) == (404, f"there is no job {job_id}")
    await redis.set(keys.RECENT.of(), "another program's")
    assert (await client.get(f"/v1/jobs/{new_id()}")).status_code == 404
    await redis.delete(keys.RECENT.of())


async def test_a_replay_of_a_job_that_is_gone_says_so(
    client: httpx.AsyncClient, queue: JobQueue, redis: ArqRedis
) -> None:
    async def send() -> httpx.Response:
        headers = {"idempotency-key": "order-1"}
        return await client.post("/v1/jobs", json={"inputs": "x", "result_ttl": 1}, headers=headers)

    job_id = (await send()).json()["id"]
    await run_one(queue)
    await redis.delete(keys.RESULT.of(job_id))
    await redis.zrem(keys.RECENT.of(), job_id)
    again = await send()
    assert (again.status_code, again.json()["detail"]) == (
        410,
        f"job {job_id} ended and its lifetime is over",
    )


async def test_other_terms_are_another_request(client: httpx.AsyncClient) -> None:
    """Else a client that asks again for a longer lifetime would believe that it got it."""
    headers = {"idempotency-key": "order-2"}
    for asked, status in (({}, 202), ({"result_ttl": 60}, 422), ({"keep_inputs": True}, 422), ({}, 202)):
        answer = await client.post("/v1/jobs", json={"inputs": "x", **asked}, headers=headers)
        assert answer.status_code == status
    assert answer.headers["idempotency-replayed"] == "true"


async def test_the_description_has_both_fields(client: httpx.AsyncClient) -> None:
    described = msgspec.json.decode((await client.get("/openapi.json")).content)
    fields = described["components"]["schemas"]["JobRequest"]["properties"]
    assert fields["result_ttl"]["minimum"] == 1
    assert fields["keep_inputs"] | {"description": ""} == {
        "type": "boolean",
        "default": False,
        "description": "",
    }
    for model in (await client.get("/v1/models")).json()["models"]:
        assert model["request"]["properties"]["result_ttl"] == {"maximum": 86_400}
    page = (await client.get("/docs")).text
    assert "Seconds for which the ended job can be read." in page
    assert "page shows the inputs after the job" in page
