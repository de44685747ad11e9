"""Keys with real processes: a revocation reaches all of them, and a lost Redis stops none at once."""

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from jobs.ledger.listing import SEARCHED
from jobs.settings import Settings
from tests import valkey
from tests.api.access.keyed import ADMIN, bearer
from tests.cli.test_command import batchline
from tests.faults.hurried import command
from tests.ledger import MODEL
from tests.ports import free_port
from tests.processes import alive, logging_to
from tests.waiting import until

PROMISED = 1.0
"""Seconds within which a revocation is effective."""
TOLERANCE = 25.0
"""More seconds for a busy machine; a wait would last a minute, and read its job again by nothing else."""
PATIENT = {"api.waiting.waiting.REREAD_SECONDS": 600.0}


@asynccontextmanager
async def processes(
    settings: Settings, redis_url: str, log: Path, count: int, **given: object
) -> AsyncIterator[list[httpx.AsyncClient]]:
    """Clients of API processes that each have a port, and that require keys."""
    with ExitStack() as stack:
        file = stack.enter_context(log.open("wb"))
        clients = []
        for _ in range(count):
            port = free_port()
            url = f"http://127.0.0.1:{port}"
            settings_of_process: dict[str, Any] = {
                "redis_url": redis_url,
                "models_file": settings.models_file,
                "port": port,
                "auth": "keys",
                "admin_key": ADMIN,
                "log_level": "debug",
                **given,
            }
            stack.enter_context(logging_to(file, *command(PATIENT), **settings_of_process))
            clients.append(httpx.AsyncClient(base_url=url, timeout=90))
        for client in clients:
            await until(lambda client=client: alive(str(client.base_url)))  # type: ignore[misc]
        try:
            yield clients
        finally:
            for client in clients:
                await client.aclose()


async def keys(redis_url: str, *arguments: str, **variables: str) -> tuple[str, str]:
    """What `batchline keys` writes to stdout and stderr."""
    variables = {"BATCHLINE_REDIS_URL": redis_url, "BATCHLINE_LOG_FORMAT": "json", **variables}
    status, out, err = await asyncio.to_thread(batchline, "keys", *arguments, variables=variables)
    assert status == 0, err
    return out.strip(), err


async def created(redis_url: str) -> tuple[str, str]:
    """The id and the secret of a new key."""
    secret, line = await keys(redis_url, "create", "alice")
    return json.loads(line)["key"], secret


async def test_a_revocation_reaches_every_process_within_a_second(
    settings: Settings, redis_url: str, tmp_path: Path
) -> None:
    async with processes(settings, redis_url, tmp_path / "log", 2) as clients:
        key_id, secret = await created(redis_url)

        async def accepted() -> bool:
            answers = [await each.get("/v1/models", headers=bearer(secret)) for each in clients]
            return all(answer.status_code == 200 for answer in answers)

        await until(accepted)
        job = {"model": MODEL, "inputs": "x"}
        submitted = await clients[0].post("/v1/jobs", json=job, headers=bearer(secret))
        path = submitted.json()["urls"]["self"]
        waits = [
            asyncio.create_task(each.get(f"{path}{rest}", headers=bearer(secret)))
            for each in clients
            for rest in ("?wait=60", "/events")
        ]
        waits.append(
            asyncio.create_task(clients[1].post("/v1/jobs?wait=60", json=job, headers=bearer(secret)))
        )

        both = [True, True]

        async def waiting() -> bool:
            texts = [(await each.get("/metrics", headers=bearer(ADMIN))).text for each in clients]
            return [f"batchline_waiters {n}.0" in text for n, text in zip((2, 3), texts, strict=True)] == both

        await until(waiting)
        await keys(redis_url, "revoke", key_id)
        began = time.monotonic()
        ended = await asyncio.wait_for(asyncio.gather(*waits), PROMISED + TOLERANCE)
        assert time.monotonic() - began < PROMISED + TOLERANCE
        assert [answer.status_code for answer in ended] == [401, 200, 401, 200, 401]
        assert [answer.text.count("event: error") for answer in ended] == [0, 1, 0, 1, 0]
        for each in clients:
            assert (await each.get("/v1/models", headers=bearer(secret))).status_code == 401
        read = await clients[0].get(path, headers=bearer(ADMIN))
        assert read.json()["status"] == "queued", "its job goes on"
        log = (tmp_path / "log").read_text()
        assert log.count('"key revoked"') == 2
        assert secret not in log
        assert ADMIN not in log


@pytest.mark.parametrize("option", [[], ["--cancel-jobs"]], ids=["jobs go on", "jobs are cancelled"])
async def test_the_queued_jobs_of_a_revoked_key(
    settings: Settings, redis_url: str, tmp_path: Path, option: list[str]
) -> None:
    """More than one page of the listing examines. A wait of the owner's other key sees their end."""
    async with processes(settings, redis_url, tmp_path / "log", 1) as [client]:
        key_id, secret = await created(redis_url)
        _, other = await created(redis_url)

        async def accepted() -> bool:
            answers = [await client.get("/v1/models", headers=bearer(each)) for each in (secret, other)]
            return all(answer.status_code == 200 for answer in answers)

        await until(accepted)
        job = {"model": MODEL, "inputs": "x"}

        async def submit(headers: dict[str, str]) -> str:
            answer = await client.post("/v1/jobs", json=job, headers=headers)
            return str(answer.json()["urls"]["self"])

        others = await submit(bearer(ADMIN))
        paths = await asyncio.gather(*(submit(bearer(secret)) for _ in range(SEARCHED + 20)))
        ends, goes_on = [
            asyncio.create_task(client.get(f"{paths[0]}?wait=60", headers=bearer(each)))
            for each in (secret, other)
        ]

        async def waiting() -> bool:
            return "batchline_waiters 2.0" in (await client.get("/metrics", headers=bearer(ADMIN))).text

        await until(waiting)
        await keys(redis_url, "revoke", key_id, *option, BATCHLINE_MODELS_FILE=str(settings.models_file))
        ended = await asyncio.wait_for(ends, PROMISED + TOLERANCE)
        assert ended.status_code in ((401, 200) if option else (401,)), "the job may end before the wait"
        expected = "cancelled" if option else "queued"
        reads = await asyncio.gather(*(client.get(path, headers=bearer(ADMIN)) for path in paths))
        assert {read.json()["status"] for read in reads} == {expected}
        assert (await client.get(others, headers=bearer(ADMIN))).json()["status"] == "queued"
        if option:
            assert (await goes_on).json()["status"] == expected
        else:
            assert not goes_on.done()
            goes_on.cancel()


async def test_keys_work_without_redis_for_a_bounded_time(settings: Settings, tmp_path: Path) -> None:
    """Long enough for a short outage; a revoked key must not work for ever."""
    with valkey.running(tmp_path) as server:
        url = server.url()
        async with (
            processes(settings, url, tmp_path / "log", 1) as [patient],
            processes(settings, url, tmp_path / "log2", 1, key_cache=1) as [strict],
        ):
            _, secret = await created(url)

            async def accepted() -> bool:
                answers = [await each.get("/docs", headers=bearer(secret)) for each in (patient, strict)]
                return all(answer.status_code == 200 for answer in answers)

            await until(accepted)
            server.kill()

            async def refused() -> bool:
                return (await strict.get("/docs", headers=bearer(secret))).status_code == 503

            await until(refused)
            answer = await strict.get("/docs", headers=bearer(secret))
            assert answer.headers["retry-after"] == "1"
            assert (await strict.get("/docs", headers=bearer(ADMIN))).status_code == 200
            assert (await patient.get("/docs", headers=bearer(secret))).status_code == 200
            assert (await patient.get("/docs", headers=bearer("bl_wrong"))).status_code == 401
            server.start()
            await until(accepted)


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
async def test_an_open_server_warns_at_the_start_and_on_every_page(
    settings: Settings, redis_url: str, tmp_path: Path, host: str
) -> None:
    open_to_all = {"auth": "off", "host": host, "admin_key": ""}
    async with processes(settings, redis_url, tmp_path / "log", 1, **open_to_all) as [client]:
        pages = [
            (await client.get(path)).text for path in ("/", "/jobs", "/try", "/docs", "/models/sentiment")
        ]
    log = (tmp_path / "log").read_text()
    warned = host == "0.0.0.0"
    assert log.count("everybody who reaches this server") == warned
    assert [page.count('class="notice"') for page in pages] == [warned] * 5
