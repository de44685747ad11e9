"""Two models, one of which cannot be loaded, or breaks later: the other is still served."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from arq.connections import ArqRedis

from jobs.monitoring.roster import Roster
from tests import processes
from tests.journey.conftest import Refused
from tests.journey.instance import PATIENCE, Instance, ready
from tests.ledger import first_shard
from tests.waiting import until

MODELS = """\
[models.sentiment]
pipeline = "tests.worker.poison:Poison"

[models.fragile]
pipeline = "tests.worker.failing:Fragile"
options = {{ needs = "{needed}" }}
"""

BROKEN = """\
[models.one]
pipeline = "tests.worker.poison:Nothing"

[models.two]
task = "feature-extraction"
source = "gone"
"""


@pytest.fixture
def needed(tmp_path: Path) -> Path:
    """The file, not yet created, without which the model `fragile` cannot be loaded."""
    return tmp_path / "needed"


@pytest.fixture
def models(tmp_path: Path, needed: Path) -> Path:
    return write(tmp_path / "models.toml", MODELS.format(needed=needed))


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


async def submit(instance: Instance, model: str, wait: int) -> httpx.Response:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{instance.port}", timeout=90) as client:
        headers = {"Prefer": f"wait={wait}"}
        return await client.post("/v1/jobs", json={"model": model, "inputs": "a text"}, headers=headers)


async def ended(instance: Instance, job: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}

    async def over() -> bool:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{instance.port}", timeout=60) as client:
            found.update((await client.get(job["urls"]["self"])).json())
        return found["status"] not in ("queued", "running")

    await until(over, PATIENCE)
    return found


broken_model = pytest.mark.attack(
    "a model cannot be loaded, or cannot be reloaded",
    held="it is retired with its reason and retried; other models are served",
)


def engine_of(instance: Instance, model: str) -> psutil.Process:
    """The engine of the model, found by its position, because engines start in the order of the models."""
    worker = instance.child("-m", "worker")
    engines = [each for each in worker.children() if "worker.engine" in each.cmdline()]
    engines.sort(key=lambda engine: engine.pid)
    return engines[["sentiment", "fragile"].index(model)]


@broken_model
async def test_one_that_cannot_be_loaded_waits_while_the_other_is_served(
    tmp_path: Path, models: Path, needed: Path
) -> None:
    async with ready(tmp_path, models_file=models) as instance:
        assert instance.says(
            "Model fragile cannot be served; loading is retried later: model 'fragile': building"
        )
        await instance.answer("a text")
        reply = await submit(instance, "fragile", 0)
        assert (reply.status_code, reply.json()["status"]) == (202, "queued")
        write(needed, "")
        job = await ended(instance, reply.json())
        assert (job["status"], job["attempts"]) == ("succeeded", 1)


@broken_model
async def test_one_that_breaks_later_does_not_end_the_other(
    tmp_path: Path, models: Path, needed: Path
) -> None:
    write(needed, "")
    async with ready(tmp_path, models_file=models) as instance:
        worker = instance.child("-m", "worker").pid
        assert (await submit(instance, "fragile", 60)).json()["status"] == "succeeded"
        needed.unlink()  # noqa: ASYNC240
        engine_of(instance, "fragile").kill()
        await instance.until_said("model retired")
        await instance.answer("the other goes on")
        waiting = (await submit(instance, "fragile", 0)).json()
        write(needed, "")
        assert (await ended(instance, waiting))["status"] == "succeeded"
        assert instance.child("-m", "worker").pid == worker


async def test_where_no_model_can_be_loaded_each_has_its_sentence(tmp_path: Path, redis_url: str) -> None:
    file = write(tmp_path / "models.toml", BROKEN)
    log = tmp_path / "log"
    with log.open("wb") as output:
        settings = {"redis_url": redis_url, "models_file": file}
        with processes.logging_to(output, "worker", **settings) as worker:

            async def over() -> bool:
                return worker.poll() is not None

            await until(over, PATIENCE)
    assert worker.returncode == 1
    printed = [line for line in log.read_text().splitlines() if line.startswith("batchline worker: ")]
    assert len(printed) == 2
    assert "has no class named Nothing" in printed[0]
    assert "gone does not exist" in printed[1]


def test_a_file_with_an_error_stays_fatal_for_all(refused: Refused, tmp_path: Path) -> None:
    file = write(tmp_path / "models.toml", '[models.a]\npipeline = "a:B"\n\n[models.b]\ntask = "dreaming"\n')
    assert "unknown task 'dreaming'" in refused(models_file=file)


async def test_a_burst_serves_other_models_and_reports_the_broken_one(
    redis: ArqRedis, redis_url: str, models: Path
) -> None:
    environment = {"BATCHLINE_REDIS_URL": redis_url, "BATCHLINE_MODELS_FILE": str(models)}
    ran = subprocess.run(  # noqa: ASYNC221
        [sys.executable, "-m", "worker", "--burst"],
        cwd=processes.ROOT,
        env=environment,
        capture_output=True,
        timeout=PATIENCE,
    )
    assert ran.returncode == 1
    [printed] = [line for line in ran.stderr.splitlines() if line.startswith(b"batchline worker: ")]
    assert b"model 'fragile'" in printed
    assert await Roster(first_shard(redis)).read() == []


async def test_a_check_fails_where_nothing_is_served(redis_url: str, models: Path, needed: Path) -> None:
    settings = {"redis_url": redis_url, "models_file": models}
    write(needed, "")

    def check(*arguments: str) -> int:
        with processes.running("worker", "--check", *arguments, **settings) as checking:
            return checking.wait(PATIENCE)

    async def both_live() -> bool:
        return check() == 0

    with processes.running("worker", **settings) as worker:
        await until(both_live, PATIENCE)
        needed.unlink()  # noqa: ASYNC240
        newest = max(psutil.Process(worker.pid).children(), key=lambda engine: engine.pid)
        newest.kill()

        async def fragile_is_retired() -> bool:
            return check("--model", "fragile") == 1

        await until(fragile_is_retired, PATIENCE)
        assert check() == 0, "the other is served"
