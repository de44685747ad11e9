"""Clients that retry with the same idempotency key when the API fails."""

import asyncio
import itertools
import time
from collections import Counter
from collections.abc import Iterable
from types import TracebackType
from typing import Any

import httpx

PATIENCE = 90.0
"""Seconds for which a client retries."""
PAUSE = 0.05

_count = itertools.count()


def nonces(count: int, prefix: str = "n") -> list[str]:
    """Texts that no other input has."""
    return [f"{prefix}{next(_count)}" for _ in range(count)]


class Clients:
    """Many clients of one or more API processes: one job per request, with limited concurrency."""

    def __init__(self, urls: Iterable[str], at_once: int = 32) -> None:
        self.urls = list(urls)
        self.accepted: dict[str, str] = {}
        """Ids of acknowledged jobs, by their inputs."""
        self.failures: Counter[str] = Counter()
        """Number of failed and repeated requests, by what happened."""
        # one for each request at once: httpx looks at every connection of a client for each request
        self._all = [httpx.AsyncClient(timeout=30) for _ in range(at_once)]
        self._free: asyncio.Queue[httpx.AsyncClient] = asyncio.LifoQueue()
        for http in self._all:
            self._free.put_nowait(http)
        self._next = itertools.cycle(range(1_000_000))

    async def __aenter__(self) -> "Clients":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for http in self._all:
            await http.aclose()

    async def submit(self, *texts: str) -> list[str]:
        """Submits each text as a separate job; returns their ids."""
        return await asyncio.gather(*(self._submit(text) for text in texts))

    async def _submit(self, text: str) -> str:
        headers = {"idempotency-key": text}
        answer = await self.insist("POST", "/v1/jobs", json={"inputs": text}, headers=headers)
        job_id: str = answer["id"]
        assert self.accepted.setdefault(text, job_id) == job_id, "one key, one job"
        return job_id

    async def ended(self) -> dict[str, dict[str, Any]]:
        """Waits for every accepted job to end; returns the jobs by their inputs."""
        accepted = dict(self.accepted)  # more may be accepted meanwhile
        jobs = await asyncio.gather(*(self._ended(job_id) for job_id in accepted.values()))
        return dict(zip(accepted, jobs, strict=True))

    async def _ended(self, job_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while True:
            job = await self.insist("GET", f"/v1/jobs/{job_id}?wait=10")
            if job["finished_at"] is not None:
                return job
            assert time.monotonic() < deadline, f"nobody ended {job}"

    async def insist(self, method: str, path: str, **request: Any) -> dict[str, Any]:
        """Repeats the request, each time at the next API, until it is answered; returns the answer."""
        http = await self._free.get()
        try:
            return await self._insist(http, method, path, **request)
        finally:
            self._free.put_nowait(http)

    async def _insist(
        self, http: httpx.AsyncClient, method: str, path: str, **request: Any
    ) -> dict[str, Any]:
        deadline = time.monotonic() + PATIENCE
        while True:
            url = self.urls[next(self._next) % len(self.urls)]
            try:
                response = await http.request(method, url + path, **request)
                if response.status_code < 300:
                    answer: dict[str, Any] = response.json()
                    return answer
                failure = str(response.status_code)
                assert failure == "503", response.text
            except httpx.TransportError as error:
                failure = type(error).__name__
            self.failures[failure] += 1
            assert time.monotonic() < deadline, f"{method} {path}: {failure}, for {PATIENCE} s"
            await asyncio.sleep(PAUSE)
