"""Faults caused by hostile clients and a misbehaving class: harms like those of `harms.py`, by HTTP.

Each submits its own jobs and asserts their outcomes; the customers beside it detect other damage. All are
bounded, and return the ids of their jobs.
"""

import asyncio
import random
from contextlib import suppress
from typing import Any

import httpx

from tests.faults.clients import Clients, nonces
from tests.faults.stack import Stack

MIB = 2**20
BODIES, READERS = 12, 20
LARGE = 30
"""Number of results of 100 kB in one answer."""
LEAKS = 12
"""Number of inputs that leak 64 MiB each."""
POISON = 12
"""Number of inputs in the cancelled job, each of which kills its engine."""


async def _submit(clients: Clients, texts: list[str], **fields: Any) -> dict[str, Any]:
    body = {"inputs": texts, **fields}
    return await clients.insist("POST", "/v1/jobs", json=body, headers={"idempotency-key": texts[0]})


async def _ended(clients: Clients, job: dict[str, Any]) -> dict[str, Any]:
    while job["finished_at"] is None:
        job = await clients.insist("GET", f"/v1/jobs/{job['id']}?wait=5")
    return job


def _own_or_failed(texts: list[str], job: dict[str, Any]) -> None:
    """Asserts that each input has its own output or none, never another's."""
    for text, result in zip(texts, job["results"], strict=True):
        if "output" in result:
            assert result["output"]["nonce"] == text.partition(" ")[0], f"another's answer: {job}"


def _own(texts: list[str], job: dict[str, Any]) -> None:
    """Asserts that each input has its own output."""
    assert job["status"] == "succeeded", job
    assert all("output" in result for result in job["results"]), job
    _own_or_failed(texts, job)


async def class_that_forks(stack: Stack, chance: random.Random) -> set[str]:
    """The child raises, returns an answer, or writes to every socket that it has."""
    texts = [f"{nonce} fork {chance.choice(('raise', 'return', 'write'))}" for nonce in nonces(3)]
    async with Clients(stack.apis) as clients:
        jobs = [await _submit(clients, [text]) for text in texts]
        for text, job in zip(texts, jobs, strict=True):
            _own_or_failed([text], await _ended(clients, job))
    return {job["id"] for job in jobs}


async def cancelled_poison(stack: Stack, chance: random.Random) -> set[str]:
    """A job of many inputs that kill their engine, cancelled while it runs; then a lone urgent job."""
    async with Clients(stack.apis) as clients:
        poison = await _submit(clients, [f"{nonce} die" for nonce in nonces(POISON)])
        await asyncio.sleep(chance.uniform(0, 2))
        cancelled = await clients.insist("DELETE", f"/v1/jobs/{poison['id']}")
        assert cancelled["status"] in ("cancelled", "failed"), cancelled
        [text] = nonces(1)
        urgent = await _ended(clients, await _submit(clients, [text], priority="high"))
        _own([text], urgent)
    return {poison["id"], urgent["id"]}


async def flood_of_large_bodies(stack: Stack, chance: random.Random) -> set[str]:
    """Bodies of 7 MiB at once for a model that does not exist; half of them are never finished."""
    body = b'{"model": "none", "inputs": "' + 7 * MIB * b"x" + b'"}'

    async def stream(size: int) -> Any:
        for at in range(0, size, 256 * 1024):
            yield body[at : min(size, at + 256 * 1024)]
        if size < len(body):
            await asyncio.sleep(2)  # then it gives up
            raise httpx.WriteError("gave up")

    async def send(number: int) -> None:
        url = chance.choice(list(stack.apis))
        size = len(body) if number % 2 else len(body) - 1
        headers = {"content-type": "application/json", "content-length": str(len(body))}
        with suppress(httpx.TransportError):  # an API may be killed meanwhile, or close the connection
            async with httpx.AsyncClient(timeout=60) as client:
                answer = await client.post(f"{url}/v1/jobs", content=stream(size), headers=headers)
                assert answer.status_code in (404, 408, 413, 503), answer.text

    await asyncio.gather(*(send(number) for number in range(BODIES)))
    return set()


async def large_result_read_by_many(stack: Stack, chance: random.Random) -> set[str]:
    """Each reader gets the whole result."""
    texts = [f"{nonce} many" for nonce in nonces(LARGE)]
    async with Clients(stack.apis) as clients:
        job = await _ended(clients, await _submit(clients, texts))
        reads = await asyncio.gather(
            *(clients.insist("GET", f"/v1/jobs/{job['id']}") for _ in range(READERS))
        )
    for read in reads:
        _own(texts, read)
    return {job["id"]}


async def class_that_leaks(stack: Stack, chance: random.Random) -> set[str]:
    """Leaks memory up to the model's limit and beyond; then sends an ordinary input."""
    leaks, [text] = [f"{nonce} leak" for nonce in nonces(LEAKS)], nonces(1)
    async with Clients(stack.apis) as clients:
        jobs = [await _submit(clients, [leak]) for leak in leaks]
        for leak, job in zip(leaks, jobs, strict=True):
            _own([leak], await _ended(clients, job))
        after = await _ended(clients, await _submit(clients, [text]))
        _own([text], after)
    return {job["id"] for job in [*jobs, after]}


ALL = (
    class_that_forks,
    cancelled_poison,
    flood_of_large_bodies,
    large_result_read_by_many,
    class_that_leaks,
)
