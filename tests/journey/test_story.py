"""The whole path with the demo model: read this test first. Real processes, real HTTP, real answers."""

import asyncio
import random
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import httpx
import pytest

from jobs.settings import Settings
from tests import measured, processes, valkey
from tests.conftest import checked_client, empty_database
from tests.gate import Gate
from tests.journey.conftest import ready
from tests.ports import free_port
from tests.waiting import until

ROOT = Path(__file__).parent.parent.parent
MODELS = ROOT / "models.toml"


async def submit(client: httpx.AsyncClient, inputs: Any, wait: int = 60, **fields: Any) -> dict[str, Any]:
    answer = await client.post(
        "/v1/jobs", json={"inputs": inputs, **fields}, headers={"prefer": f"wait={wait}"}
    )
    assert answer.status_code in (200, 202), answer.text
    job: dict[str, Any] = answer.json()
    return job


async def test_a_sentence_goes_in_and_an_answer_comes_out(demo: str) -> None:
    async with httpx.AsyncClient(base_url=demo, timeout=90) as client:
        praise = await submit(client, "A wonderful film.")
        assert praise["status"] == "succeeded"
        assert praise["results"][0]["output"]["label"] == "POSITIVE"

        scorn = await submit(client, "A dull, badly acted mess.")
        assert scorn["results"][0]["output"]["label"] == "NEGATIVE"

        both = await submit(
            client, ["A wonderful film.", "A dull, badly acted mess."], parameters={"top_k": 2}
        )
        assert [len(result["output"]) for result in both["results"]] == [2, 2]

        read_again = (await client.get(praise["urls"]["self"])).json()
        assert read_again == praise
        assert (await client.get(praise["urls"]["result"])).json() == {"results": praise["results"]}
        assert (await client.delete(praise["urls"]["self"])).json() == praise, "what is done stays as it is"
        listed = (await client.get("/v1/jobs")).json()["jobs"]
        assert [job["id"] for job in listed[:3]] == [both["id"], scorn["id"], praise["id"]]


@contextmanager
def served(server: valkey.Server, models: Path) -> Iterator[str]:
    """The URL of a server with a ready worker; it must leave no keys."""
    measured.note(models)
    own = {"redis_url": empty_database(server), "models_file": models, "port": free_port()}
    url = f"http://127.0.0.1:{own['port']}"

    async def serving() -> None:
        async with httpx.AsyncClient(base_url=url) as client:
            await until(partial(ready, client), 90)

    async def leaves_no_keys() -> None:
        async with checked_client(Settings(redis_url=str(own["redis_url"]))):
            pass

    with processes.running("worker", **own), processes.running("api", **own):
        asyncio.run(serving())
        yield url
    asyncio.run(leaves_no_keys())


@pytest.fixture(scope="module")
def demo(server: valkey.Server) -> Iterator[str]:
    """With the demo model, whose start takes long: for tests that only add jobs to it."""
    with served(server, MODELS) as url:
        yield url


@pytest.fixture(scope="module")
def poison(server: valkey.Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """With the poison pipeline."""
    with served(server, processes.write_models(tmp_path_factory.mktemp("poison"))) as url:
        yield url


@pytest.mark.timeout(240)
async def test_200_jobs_from_64_clients_are_answered_as_one_by_one(demo: str) -> None:
    texts = mixed_texts(200)
    queue = iter(enumerate(texts))
    jobs: dict[int, dict[str, Any]] = {}

    async with httpx.AsyncClient(base_url=demo, timeout=90) as client:

        async def one_client() -> None:
            for index, text in queue:
                jobs[index] = await submit(client, text)

        await asyncio.gather(*(one_client() for _ in range(64)))

    assert {job["status"] for job in jobs.values()} == {"succeeded"}
    assert mean(job["batch"]["size"] for job in jobs.values()) > 4
    for (index, job), expected in zip(sorted(jobs.items()), one_by_one(texts), strict=True):
        [result] = job["results"]
        assert result["output"]["label"] == expected["label"], texts[index]
        assert result["output"]["score"] == pytest.approx(expected["score"], abs=1e-5)


async def test_everything_else_is_answered_while_the_engine_is_busy(poison: str, gate: Gate) -> None:
    async with httpx.AsyncClient(base_url=poison, timeout=90) as client:
        job = await submit(client, gate.text, wait=0)

        async def running() -> bool:
            return bool((await client.get(job["urls"]["self"])).json()["status"] == "running")

        await until(running)
        for _ in range(50):
            assert (await client.get("/health/live")).status_code == 200
            assert (await client.get(job["urls"]["self"])).status_code == 200
        still = (await client.get(job["urls"]["self"])).json()
        assert still["status"] == "running", "a hundred requests were answered within one batch"
        gate.open()
        assert (await client.get(job["urls"]["self"], params={"wait": 30})).json()["status"] == "succeeded"


@pytest.mark.parametrize("bad", ["raise", "die"])
async def test_one_bad_input_in_a_batch_of_16(poison: str, gate: Gate, bad: str) -> None:
    async with httpx.AsyncClient(base_url=poison, timeout=90) as client:
        # the first batch occupies the engine while the sixteen jobs arrive
        first = await submit(client, gate.text, wait=0)
        texts = [f"text {i}" for i in range(15)] + [bad]
        waiting = [await submit(client, text, wait=0) for text in texts]
        gate.open()
        jobs = [(await client.get(job["urls"]["self"], params={"wait": 60})).json() for job in waiting]
        assert (await client.get(first["urls"]["self"])).json()["status"] == "succeeded"
    assert [job["status"] for job in jobs] == ["succeeded"] * 15 + ["failed"]
    [result] = jobs[-1]["results"]
    assert result["error"]["type"].startswith("urn:batchline:problem:")
    assert result["error"]["detail"]


@pytest.mark.skipif(shutil.which("curl") is None, reason="this machine has no curl")
async def test_the_readmes_curl_lines_work_as_they_stand(demo: str) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    use = readme[readme.index("## Send a request") : readme.index("| call | answer |")]
    lines = "\n".join(re.findall(r"```sh\n(.*?)```", use, re.DOTALL))
    assert lines.count("curl") >= 6
    script = "set -e\n" + lines.replace("localhost:8000", demo)
    shell = await asyncio.to_thread(
        subprocess.run, ["bash", "-c", script], capture_output=True, text=True, timeout=60, check=False
    )
    assert shell.returncode == 0, shell.stderr
    assert '"status":"succeeded"' in shell.stdout
    assert "POSITIVE" in shell.stdout
    assert "event: succeeded" in shell.stdout
    assert re.search('"status":"(queued|running)"', shell.stdout), "the poll sees the job under way"
    assert '"status":"cancelled"' in shell.stdout
    assert "problem" not in shell.stdout


def mixed_texts(count: int) -> list[str]:
    """Texts of log-normal length, from two words to a hundred, the same in every run."""
    rng = random.Random(7)
    words = [
        "the",
        "film",
        "was",
        "a",
        "wonderful",
        "and",
        "dull",
        "story",
        "with",
        "bad",
        "acting",
        "but",
        "great",
    ]
    lengths = (min(100, 2 + int(rng.lognormvariate(3, 0.9))) for _ in range(count))
    return [" ".join(rng.choices(words, k=length)) for length in lengths]


def one_by_one(texts: list[str]) -> list[dict[str, Any]]:
    """The answers of `transformers.pipeline` itself, called with one text at a time."""
    import torch
    from transformers import pipeline

    torch.set_num_threads(1)  # threads that spin for each other are slow on a busy machine

    classify = pipeline("text-classification", model=str(ROOT / "models" / "sentiment"))
    return [classify(text, truncation=True)[0] for text in texts]
