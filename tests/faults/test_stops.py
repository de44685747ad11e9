"""SIGTERM under load: restarts that are invisible to a client with one retry, and a second signal."""

import asyncio
import contextlib
import itertools
import signal
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.faults.clients import nonces
from tests.faults.scenario import scenario
from tests.faults.stack import MODEL, Stack, listens
from tests.gate import Gate
from tests.waiting import until

AT_ONCE = 30.0
"""Seconds for what must not wait, on a machine that may stall; whoever waits here waits for far longer."""
PATIENT = {"api.edge.server.GRACE_SECONDS": 600.0}
"""An API that stops leaves its running requests more time than a test takes."""
PAUSE = 0.05
"""Seconds between one customer's jobs, so that the load leaves time for the restarted processes."""
STOPPED_BY_SECOND = 128 + signal.SIGTERM


class Persistent:
    """Customers that submit and wait all the time; each request has one retry, at the other API."""

    def __init__(self, urls: list[str]) -> None:
        self.tries = 0
        self.retries: Counter[str] = Counter()
        self.lost: list[str] = []
        """Requests that also failed after their retry."""
        self.accepted: dict[str, str] = {}
        self._turns = itertools.cycle([urls, urls[::-1]])
        self._http = httpx.AsyncClient(timeout=30)

    async def _ask(self, method: str, path: str, **request: Any) -> dict[str, Any] | None:
        self.tries += 1
        failures = []
        for url in next(self._turns):
            try:
                response = await self._http.request(method, url + path, **request)
                if response.status_code < 300:
                    answer: dict[str, Any] = response.json()
                    return answer
                failures.append(str(response.status_code))
            except httpx.TransportError as error:
                failures.append(type(error).__name__)
            if len(failures) == 1:
                self.retries[failures[0]] += 1
        self.lost.append(f"{method} {path}: {failures}")
        return None

    async def _shop(self) -> None:
        while True:
            [text] = nonces(1)
            headers = {"idempotency-key": text}
            job = await self._ask("POST", "/v1/jobs?wait=5", json={"inputs": text}, headers=headers)
            while job is not None and job["finished_at"] is None:
                self.accepted[text] = job["id"]
                job = await self._ask("GET", f"/v1/jobs/{job['id']}?wait=5")
            if job is not None:
                self.accepted[text] = job["id"]
            await asyncio.sleep(PAUSE)

    @contextlib.asynccontextmanager
    async def shopping(self, customers: int) -> AsyncIterator[None]:
        """Runs this number of customers until the block ends."""
        tasks = [asyncio.create_task(self._shop()) for _ in range(customers)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._http.aclose()


async def stop(process: subprocess.Popen[bytes]) -> float:
    """Sends SIGTERM; returns the seconds until the process ended."""
    began = time.monotonic()
    process.terminate()
    assert await asyncio.to_thread(process.wait, 60) == 0
    return time.monotonic() - began


async def restart(stack: Stack, number: int) -> float:
    """Stops one of the four processes and starts it again; returns when it serves."""
    which, is_worker = divmod(number, 2)
    if is_worker:
        worker = stack.workers.pop(0)
        took = await stop(worker)
        await stack.worker()
        return took
    url = list(stack.apis)[which % 2]
    took = await stop(stack.apis[url])
    stack.start_api(port=int(url.rpartition(":")[2]))
    await until(lambda: ready(url))
    return took


async def ready(url: str) -> bool:
    async with httpx.AsyncClient(timeout=30) as client:
        with contextlib.suppress(httpx.TransportError):
            return (await client.get(f"{url}/health/ready")).status_code == 200
    return False


@pytest.mark.parametrize(
    "restarts", [4, pytest.param(50, marks=[pytest.mark.thorough, pytest.mark.timeout(600)])]
)
async def test_one_retry_cures_a_rolling_restart(tmp_path: Path, restarts: int) -> None:
    async with scenario(tmp_path, workers=2, apis=2, model={"options": {"seconds": 0.05}}) as run:
        customers = Persistent(list(run.stack.apis))
        async with customers.shopping(6):
            took = [await restart(run.stack, number) for number in range(restarts)]
        run.clients.accepted.update(customers.accepted)
        jobs = await run.check()
        print(  # noqa: T201 - a number to look at
            f"{customers.tries} requests, {customers.retries.total()} retries {dict(customers.retries)},"
            f" {len(jobs)} jobs, stops took up to {max(took):.2f} s"
        )
        assert customers.lost == []
        assert max(took) < AT_ONCE, "a worker's batch and a customer's wait are far shorter"
        assert len(jobs) > 5 * restarts, "there was a load"
        assert {job["attempts"] for job in jobs.values()} == {1}
        executions = run.stack.executions()
        assert {executions[text] for text in jobs} == {1}


async def test_two_hundred_parked_waits_are_answered_at_once(tmp_path: Path) -> None:
    async with scenario(tmp_path, workers=0) as run:
        stack = run.stack
        url = await stack.api(deadlines=PATIENT)
        texts = nonces(200)
        limits = httpx.Limits(max_connections=300)
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:

            async def submit(text: str) -> httpx.Response:
                return await client.post(
                    "/v1/jobs?wait=60", json={"inputs": text}, headers={"idempotency-key": text}
                )

            waits = [asyncio.create_task(submit(text)) for text in texts]

            async def all_in() -> bool:
                return (await stack.queue.depth())[MODEL].waiting == len(texts)

            await until(all_in)
            took = await stop(stack.apis.pop(url))
            answers = await asyncio.gather(*waits)
        assert {(answer.status_code, answer.json()["status"]) for answer in answers} == {(202, "queued")}
        assert took < AT_ONCE
        run.clients.urls[:] = list(stack.apis)
        run.clients.accepted.update(
            {text: answer.json()["id"] for text, answer in zip(texts, answers, strict=True)}
        )
        stack.start_worker()
        await run.check()


async def test_a_workers_second_sigterm_ends_it_at_once(tmp_path: Path, gate: Gate) -> None:
    """In the middle of a batch that would not end: its jobs run again, once, on another worker."""
    async with scenario(tmp_path, model={"max_batch_items": 4}, shutdown_grace=600) as run:
        stack = run.stack
        [worker] = stack.workers
        held = f"{nonces(1)[0]} {gate.text}"
        await run.clients.submit(held, *nonces(20))

        async def in_the_batch() -> bool:
            return stack.executions()[held.partition(" ")[0]] == 1

        async def stopping() -> bool:
            return [beat.engine for beat in await stack.beats()] == ["stopping"]

        await until(in_the_batch)
        worker.terminate()
        await until(stopping)
        assert worker.poll() is None, "it waits for its batch"
        assert await ended_again(worker) < AT_ONCE
        gate.open()
        stack.start_worker()
        jobs = await run.check()
        assert jobs[held]["attempts"] == 2


async def test_an_apis_second_sigterm_ends_it_at_once(tmp_path: Path) -> None:
    """In the middle of a request whose body does not arrive: jobs that it had accepted still run."""
    async with scenario(tmp_path, workers=0) as run:
        url = await run.stack.api(deadlines=PATIENT)
        api = run.stack.apis[url]
        run.clients.urls.append(url)
        await run.clients.submit(*nonces(20))
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
        await writer.drain()
        await until(lambda: answered(url))
        api.terminate()

        async def deaf() -> bool:
            return not await listens(url)

        await until(deaf)
        assert api.poll() is None, "it waits for the request"
        assert await ended_again(api) < AT_ONCE
        writer.close()
        run.stack.start_worker()
        await run.check()


async def test_two_signals_for_one_stop_end_nothing(tmp_path: Path, gate: Gate) -> None:
    """SIGINT from a terminal and SIGTERM from a wrapper that received it too: both finish their work."""
    async with scenario(tmp_path, shutdown_grace=600) as run:
        url = await run.stack.api(deadlines=PATIENT)
        api = run.stack.apis[url]
        [worker] = run.stack.workers
        held = f"{nonces(1)[0]} {gate.text}"
        await run.clients.submit(held)

        async def in_the_batch() -> bool:
            return bool(run.stack.runs())

        await until(in_the_batch)
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /v1/jobs HTTP/1.1\r\nhost: x\r\ncontent-length: 14\r\n\r\n{")
        await writer.drain()
        await until(lambda: answered(url))
        for process in (api, worker):
            process.send_signal(signal.SIGINT)
            process.terminate()

        async def stopping() -> bool:
            return not await listens(url) and [beat.engine for beat in await run.stack.beats()] == [
                "stopping"
            ]

        await until(stopping)
        writer.write(b'"inputs":"x"}')
        gate.open()
        assert (await reader.read()).startswith(b"HTTP/1.1 202 ")
        writer.close()
        for process in (api, worker):
            assert await asyncio.to_thread(process.wait, 60) == 0
        assert run.stack.executions()[held.partition(" ")[0]] == 1
        run.stack.start_worker()
        jobs = await run.check()
        assert jobs[held]["attempts"] == 1


async def ended_again(process: subprocess.Popen[bytes]) -> float:
    """Sends SIGTERM to a stopping process until it counts as a second one; returns the seconds taken."""

    async def ended() -> bool:
        process.terminate()
        return process.poll() is not None

    began = time.monotonic()
    await until(ended)
    assert process.returncode == STOPPED_BY_SECOND
    return time.monotonic() - began


async def answered(url: str) -> bool:
    """Whether a later request was answered, so that earlier ones have been read."""
    async with httpx.AsyncClient(timeout=30) as client:
        return (await client.get(f"{url}/health/live")).status_code == 200
