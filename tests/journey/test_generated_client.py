"""A client that openapi-python-client generates from the description works with every kind of answer.

Each answer is read into the generated models and written again. Nothing may be lost, and it may contain
nothing that the description does not name.
"""

import importlib
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import msgspec
import pytest

from tests import processes
from tests.journey.conftest import Running

PACKAGE = "generated_client"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the generated client; modules imported from it are removed afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
        del sys.modules[name]


def generate(description: str, folder: Path) -> None:
    """Also fails if the generator only warns, because it then leaves something out."""
    (folder / "openapi.json").write_text(description, encoding="utf-8")
    (folder / "config.yml").write_text("post_hooks: []\n", encoding="utf-8")
    options = {"path": "openapi.json", "config": "config.yml", "output-path": PACKAGE, "meta": "none"}
    arguments = [part for name, value in options.items() for part in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "openapi_python_client", "generate", *arguments, "--fail-on-warning"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Calls:
    """The generated calls; each answer is checked."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def __call__(self, call: str, *arguments: Any, status: int = 200, **options: Any) -> Any:
        """The answer of the call, as a generated model."""
        answer = await part(f"api.{call}").asyncio_detailed(*arguments, client=self.client, **options)
        assert answer.status_code == status, answer.content
        assert plain(answer.parsed.to_dict()) == plain(msgspec.json.decode(answer.content))
        assert all(not found.additional_properties for found in models(answer.parsed))
        return answer.parsed


def part(name: str) -> ModuleType:
    return importlib.import_module(f"{PACKAGE}.{name}")


def models(value: Any) -> Iterator[Any]:
    """All generated models in an answer that name their fields."""
    if isinstance(value, list):
        for each in value:
            yield from models(each)
    elif type(value).__module__.startswith(f"{PACKAGE}.models") and hasattr(value, "additional_properties"):
        named = {name: each for name, each in vars_of(value).items() if name != "additional_properties"}
        if named:
            yield value
        for each in named.values():
            yield from models(each)


def vars_of(value: Any) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in value.__attrs_attrs__}


def plain(value: Any) -> Any:
    """The value as JSON, with all times in the same format."""
    if isinstance(value, dict):
        return {name: plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [plain(each) for each in value]
    try:
        return datetime.fromisoformat(value).isoformat() if isinstance(value, str) else value
    except ValueError:
        return value


async def test_a_generated_client_reads_every_kind_of_answer(batchline: Running, folder: Path) -> None:
    async with batchline(processes.write_models(folder)) as server:
        generate((await server.get("/openapi.json")).text, folder)
        client = part("client").Client(base_url=str(server.base_url), timeout=httpx.Timeout(60))
        async with client:
            await use(Calls(client))


async def use(call: Calls) -> None:
    """Uses the client as a program would."""
    names = part("models")

    def request(*texts: str, **fields: Any) -> Any:
        return names.JobRequest(inputs=list(texts), **fields)

    # submit, and wait for the end
    whole = await call("jobs.submit_job", body=request("a", "b"), prefer="wait=60")
    assert (whole.status, whole.counts.succeeded) == (names.JobState.SUCCEEDED, 2)
    assert [result.output["text"] for result in whole.results] == ["A", "B"]
    assert isinstance(whole.created_at, datetime)
    assert whole.created_at.tzinfo is not None

    # submit, read, and wait for the results
    urgent = request("good", "raise", priority=names.JobRequestPriority.HIGH, expires_in=60, result_ttl=90)
    partly = await call("jobs.submit_job", body=urgent, status=202)
    results = await call("jobs.read_results", partly.id, wait=60)
    assert results.results[0].output["text"] == "GOOD"
    assert results.results[1].error.type_ == "urn:batchline:problem:input-failed"
    assert "this text is bad" in results.results[1].error.detail
    assert (await call("jobs.read_job", partly.id)).counts.failed == 1

    # a job that fails, and its failure
    failed = await call("jobs.submit_job", body=request("raise"), wait=60)
    assert failed.status is names.JobState.FAILED
    assert failed.results[0].error.title == "The pipeline failed on this input"
    assert (await call("jobs.cancel_job", failed.id)).status is names.JobState.FAILED

    # a listing, with a filter and a cursor
    state = names.ListJobsStateItem
    listed = await call("jobs.list_jobs", state=[state.PARTIAL, state.FAILED], model=["sentiment"])
    assert [job.id for job in listed.jobs] == [failed.id, partly.id]
    newest = await call("jobs.list_jobs", limit=1)
    older = await call("jobs.list_jobs", limit=1, cursor=newest.next_)
    assert [job.id for job in newest.jobs + older.jobs] == [failed.id, partly.id]

    # the models and their health
    found = await call("models.list_models")
    assert [model.id for model in found.data] == ["sentiment"]
    assert found.models[0].workers[0].device
    assert found.models[0].parameters["type"] == "object"
    assert (await call("health.live")).status is names.HealthStatus.LIVE
    assert (await call("health.ready")).checks["redis"].ok

    # problems
    unknown = await call("jobs.submit_job", body=request("x", model="nix"), status=404)
    assert unknown.type_ == "urn:batchline:problem:unknown-model"
    assert unknown.message == unknown.detail
    assert (await call("jobs.submit_job", body=request(), status=422)).pointer == "/inputs"
    missing = await call("jobs.read_job", "01890000-0000-7000-8000-000000000000", status=410)
    assert missing.instance.endswith("0000")
    assert (await call("jobs.list_jobs", limit=0, status=422)).parameter == "limit"
