"""The OpenAPI description: examples are accepted, references resolve, every problem is described."""

import time
from typing import Any

import httpx
import msgspec
from arq.connections import ArqRedis
from msgspec.structs import replace

from api.problems.statuses import STATUSES
from api.v1 import model_schemas, replies
from jobs import tasks
from jobs.ledger.views import accepted
from jobs.models import ModelSpec
from jobs.problem_kinds import TYPE
from jobs.schema import JobRequest, JobState, NewJob, validate_request
from jobs.settings import Settings
from tests.api.api_process import mounted
from tests.ledger import JobQueue, run_one

ALL_TASKS = "\n".join(f'[models.{task}]\ntask = "{task}"\nsource = "x"' for task in tasks.TASKS)


def references(part: Any) -> list[str]:
    if isinstance(part, dict):
        here = [part["$ref"]] if isinstance(part.get("$ref"), str) else []
        return here + [found for value in part.values() for found in references(value)]
    return [found for value in part for found in references(value)] if isinstance(part, list) else []


async def test_every_example_is_accepted(settings: Settings, redis: ArqRedis, queue: JobQueue) -> None:
    """For models of every task, and of one's own."""
    file = settings.models_file
    file.write_text(file.read_text() + ALL_TASKS)
    async with mounted(settings) as (client, _):
        described = (await client.get("/openapi.json")).json()
        examples = described["paths"]["/v1/jobs"]["post"]["requestBody"]["content"]["application/json"][
            "examples"
        ]
        assert len(examples) == len(tasks.TASKS) + 3
        for name, example in examples.items():
            answer = await client.post("/v1/jobs", json=example["value"])
            assert answer.status_code == 202, f"{name}: {answer.text}"


def test_examples_keep_to_the_limits() -> None:
    def spec(limit: int, **how: Any) -> ModelSpec:
        return ModelSpec(name="small", max_inputs=1, max_input_chars=limit, **how)

    own = {"pipeline": "somewhere:Shapes", "input": "json"}
    for limit in (1, 5, 20, 30):
        specs = [
            spec(limit, **own),
            *(
                # a question about a picture is never empty, and words with boxes are not cut
                spec(limit + 100 * task.input.has_media, task=name, source="x")
                for name, task in tasks.TASKS.items()
            ),
        ]
        for each in specs:
            validate_request(msgspec.convert(model_schemas.example(each), JobRequest), each)


async def test_every_reference_resolves(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    found = references(described)
    assert {"#/components/schemas/Job", "#/components/schemas/JobRequest"} <= set(found)
    for reference in found:
        kind = reference.removeprefix("#/components/schemas/")
        assert kind in described["components"]["schemas"], reference


async def test_every_problem_is_described_with_an_example(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()
    documented = set()
    for call in (call for path in described["paths"].values() for call in path.values()):
        for status, answer in call["responses"].items():
            problem = answer.get("content", {}).get("application/problem+json", {"examples": {}})
            for kind, example in problem["examples"].items():
                assert example["value"]["type"] == TYPE + kind
                assert example["value"]["status"] == STATUSES[kind] == int(status)
                documented.add(kind)
    undocumented = {"method-not-allowed", "bad-request", "job-failed", "not-done-in-time", "wrong-task"}
    of_other_dialects = {
        "unknown-batch",
        "unknown-file",
        "quota-exceeded",
        "storage-full",
        "storage-unavailable",
    }
    assert documented == set(STATUSES) - undocumented - of_other_dialects


async def test_every_link_leads_to_a_call(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    calls = {call["operationId"] for path in described.values() for call in path.values()}
    answers = described["/v1/jobs"]["post"]["responses"]
    linked = {link["operationId"] for status in ("200", "202") for link in answers[status]["links"].values()}
    assert len(linked) == 4
    assert linked <= calls


async def test_models_describe_their_requests(client: httpx.AsyncClient) -> None:
    described = [model["request"] for model in (await client.get("/v1/models")).json()["models"]]
    assert [taken["title"] for taken in described] == ["sentiment", "shapes"]
    assert [taken["required"] for taken in described] == [[], ["model"]], "the first is the default"
    assert described[1]["properties"]["parameters"]["properties"]["depth"] == {"type": "integer"}
    single, many = described[0]["properties"]["inputs"]["anyOf"]
    text, pair = single["anyOf"]
    assert (text, many["maxItems"]) == ({"type": "string", "maxLength": 100_000}, 1_000)
    assert pair["required"] == ["text", "text_pair"]


async def test_schemas_are_the_same_for_all_models(client: httpx.AsyncClient, settings: Settings) -> None:
    """A client that was generated from one server works with another."""
    described = (await client.get("/openapi.json")).json()
    settings.models_file.write_text(ALL_TASKS)
    async with mounted(settings) as (other, _):
        assert (await other.get("/openapi.json")).json()["components"] == described["components"]


async def test_models_are_listed_in_the_form_of_openai(client: httpx.AsyncClient) -> None:
    answer = (await client.get("/v1/models")).json()
    assert answer["object"] == "list"
    for model in answer["data"]:
        assert model["object"] == "model"
        assert model["owned_by"] == "batchline"
        assert 1_500_000_000 < model["created"] <= time.time()
    assert [model["id"] for model in answer["data"]] == [model["name"] for model in answer["models"]]


async def test_operations_have_short_ids(client: httpx.AsyncClient) -> None:
    described = (await client.get("/openapi.json")).json()["paths"]
    ids = [call["operationId"] for path in described.values() for call in path.values()]
    of_jobs = ["submit_job", "list_jobs", "read_job", "read_results", "cancel_job", "follow_job"]
    assert sorted(ids) == sorted(
        [
            *of_jobs,
            "read_known_results",
            "read_file",
            "read_input",
            "list_models",
            "read_usage",
            *(f"{what}_webhook" for what in ("create", "read", "update", "delete", "test")),
            *("list_webhooks", "rotate_webhook_secret", "read_own_webhook_secret"),
            *("rotate_own_webhook_secret", "list_deliveries", "read_delivery", "retry_delivery"),
            "live",
            "ready",
        ]
    )


async def test_times_and_states_are_described_as_such(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    times = [schemas["Job"]["properties"][name] for name in ("created_at", "started_at", "finished_at")]
    times.append(schemas["ModelFailure"]["properties"]["at"])
    for time_ in times:
        kinds = [kind for kind in time_.get("anyOf", [time_]) if kind != {"type": "null"}]
        assert [kind["format"] for kind in kinds] == ["date-time"]
    states = ["queued", "running", "succeeded", "failed", "cancelled", "expired"]
    assert schemas["JobState"]["enum"] == states


async def test_an_error_of_a_result_has_no_http_status(settings: Settings) -> None:
    """Also where a job failed before its inputs were run."""
    async with mounted(settings) as (client, services):
        schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
        assert schemas["Result"]["properties"]["error"]["$ref"] == "#/components/schemas/ResultError"
        job = accepted("some", NewJob("sentiment", ["x", "y"], 2, {}, "normal", None), 0, 1)
        failed = replace(job, status=JobState.FAILED, results=None)
        answer = await replies.results(services.large, failed, {})
        results = msgspec.json.decode(bytes(answer.body))["results"]
        assert len(results) == 2
        for result in results:
            assert set(result["error"]) == set(schemas["ResultError"]["required"])
            assert "status" not in result["error"]


async def test_a_real_job_has_just_the_fields_described(client: httpx.AsyncClient, queue: JobQueue) -> None:
    described = (await client.get("/openapi.json")).json()["components"]["schemas"]["Job"]
    job = (await client.post("/v1/jobs", json={"inputs": "x"})).json()
    fields = set(described["properties"]) - {"owner"}
    assert set(job) == fields, "it has no owner"
    await run_one(queue)
    assert set((await client.get(job["urls"]["self"])).json()) == fields
