"""Another program writes to our keys in Redis: no process ends, the log names the key, other models run."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.ledger import keys
from jobs.ledger.ids import new_id
from jobs.ledger.keys import Key
from jobs.ledger.wire import serialize
from tests.faults.clients import nonces
from tests.faults.scenario import Scenario, scenario
from tests.faults.stack import MODEL
from tests.waiting import until

OTHER = "other"
STRING = "another program's data"


def two_models(folder: Path) -> Path:
    table = f'options = {{ record = "{folder / "record"}", seconds = 0.0 }}'
    lines = [
        f'[models.{name}]\npipeline = "tests.faults.recording:Recording"\n{table}' for name in (MODEL, OTHER)
    ]
    path = folder / "two.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


async def post(run: Scenario, model: str, wait: int = 0) -> httpx.Response:
    [url] = run.stack.apis
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        body = {"model": model, "inputs": nonces(1)[0]}
        return await client.post(f"/v1/jobs?wait={wait}", json=body)


async def succeeds(run: Scenario, model: str) -> bool:
    answer = await post(run, model, wait=30)
    return answer.status_code == 200 and answer.json()["status"] == "succeeded"


def accepts(run: Scenario, model: str) -> Callable[[], Awaitable[bool]]:
    async def accepted() -> bool:
        return (await post(run, model)).status_code == 202

    return accepted


def named(printed: str, key: str) -> list[dict[str, Any]]:
    """The log lines about a key."""
    lines = [json.loads(line) for line in printed.splitlines() if line.startswith("{")]
    return [line for line in lines if line.get("key") == key]


OURS = b"\x85\xa1t\xc0\xa1f\xa5infer\xa1k"
OF_A_JOB: dict[str, tuple[Key, bytes | None]] = {
    "bad msgpack behind our mark": (keys.JOB, OURS + b"\xc1" * 100),
    "no map behind our mark": (keys.JOB, OURS + b"\xa3abc"),
    "a text for a payload": (keys.JOB, STRING.encode()),
    "a list for a payload": (keys.JOB, None),
    "a list for a record": (keys.RESULT, None),
    "a list for a lease": (keys.LEASE, None),
    "a list for attempts": (keys.ATTEMPTS, None),
    "a text for attempts": (keys.ATTEMPTS, STRING.encode()),
}


@pytest.mark.attack(
    "another program writes to a key of one waiting job in Redis",
    held="that job fails or runs, all others continue, no process ends",
    tried=f"{len(OF_A_JOB)} keys",
)
async def test_data_of_another_program_under_the_keys_of_a_job(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """tests/jobs/ledger/test_foreign_keys.py tests each script with such a key."""
    async with scenario(tmp_path, models_file=two_models(tmp_path), log_format="json") as run:
        redis, worker = run.stack.redis, run.stack.workers[0]
        await until(partial(succeeds, run, MODEL))
        capfd.readouterr()
        for what, (key, data) in OF_A_JOB.items():
            job_id = new_id()
            name = key.of(job_id)
            await redis.set(keys.JOB.of(job_id), serialize(STOCK), px=86_400_000)
            await redis.delete(name)
            if data is None:
                await redis.rpush(name, STRING)  # type: ignore[misc]
                await redis.pexpire(name, 86_400_000)
            else:
                await redis.set(name, data, px=86_400_000)
            await redis.zadd(keys.queue_name(MODEL), {job_id: 1})
            for _ in range(3):
                assert await succeeds(run, MODEL), what

            async def gone(job_id: str = job_id) -> bool:
                return await redis.zscore(keys.queue_name(MODEL), job_id) is None

            await until(gone)
            [url] = run.stack.apis
            async with httpx.AsyncClient(base_url=url, timeout=60) as client:
                job = (await client.get(f"/v1/jobs/{job_id}")).json()
                assert job["status"] == ("failed" if key is keys.JOB else "succeeded"), (what, job)
                if key is keys.JOB:
                    detail = job["results"][0]["error"]["detail"]
                    assert detail.startswith("the payload cannot be read"), what
                assert (await client.get(f"/jobs/{job_id}")).status_code == 200
        assert "Traceback" not in capfd.readouterr().err
        assert worker.poll() is None
        assert all(api.poll() is None for api in run.stack.apis.values())


STOCK: dict[str, object] = {
    "t": None,
    "f": "infer",
    "k": {},
    "a": ["a stock client's"],
    "et": 1_700_000_000_123,
}
OF_THE_MODEL = (keys.QUEUE, keys.DEADLINES, keys.BYTES, keys.INPUTS, keys.DOORBELL)


@pytest.mark.attack(
    "another program writes a string, or a list, to a key of the queue in Redis",
    held="submits to that model get 503, other models continue, no process ends, the log names the key; "
    "after its deletion everything works again",
)
async def test_data_of_another_type_under_our_keys(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], tried: Callable[[int, str], None]
) -> None:
    models = two_models(tmp_path)
    async with scenario(tmp_path, models_file=models, log_format="json") as run:
        redis, worker = run.stack.redis, run.stack.workers[0]
        await until(partial(succeeds, run, MODEL))
        await until(partial(succeeds, run, OTHER))

        async def spoil(kind: Key, how: str) -> list[str]:
            """Another program's data under the model's keys of every shard; other shards would go on."""
            names = run.stack.queue.everywhere(kind)
            await redis.delete(*names)
            for name in names:
                if how == "list":
                    await redis.rpush(name, STRING)  # type: ignore[misc]
                else:
                    await redis.set(name, STRING)
            return names

        async def refused() -> None:
            answer = await post(run, MODEL)
            assert answer.status_code == 503, answer.text
            assert answer.headers["retry-after"] == "1"
            assert answer.headers["content-type"] == "application/problem+json"
            assert "another program's data" in answer.json()["detail"]

        cases: list[tuple[Key, str]] = [(key, "string") for key in OF_THE_MODEL] + [(keys.BYTES, "list")]
        capfd.readouterr()
        printed = ""
        for key, kind in cases:
            names = await spoil(key, kind)
            await refused()
            assert await succeeds(run, OTHER), "the other model goes on"

            async def is_logged(names: list[str] = names) -> bool:
                nonlocal printed
                printed += capfd.readouterr().err
                logged = [line for name in names for line in named(printed, name)]
                return any("integrity" in line["logger"] for line in logged)

            await until(is_logged)
            await redis.delete(*names)
            assert await succeeds(run, MODEL), f"{names} are deleted"

        names = await spoil(keys.RECENT, "string")  # shared by all models
        await refused()
        assert (await post(run, OTHER)).status_code == 503
        await redis.delete(*names)
        assert await succeeds(run, MODEL)

        for key in (
            keys.ABORT,
            keys.OUTBOX,
            keys.ROSTER,
        ):  # while these are spoilt, jobs are accepted, and run later
            names = await spoil(key, "string")
            await until(accepts(run, MODEL))
            await redis.delete(*names)
            assert await succeeds(run, MODEL)

        printed += capfd.readouterr().err
        assert "Traceback" not in printed
        for key, _ in cases:
            lines = [named(printed, name) for name in run.stack.queue.everywhere(key)]
            assert any(lines)
            assert all(len(each) <= 4 for each in lines), "a line a minute, from worker and API"
        assert worker.poll() is None
        assert all(api.poll() is None for api in run.stack.apis.values())
        tried(len(cases) + 3, "keys")
        await run.nothing_left()
