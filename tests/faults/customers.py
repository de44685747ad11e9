"""Customers for a soak: each submits jobs of all kinds, one after another, and records their ends."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.clients import Clients, nonces

KINDS = {"plain": 80, "several": 6, "cancel": 5, "late": 3, "raise": 3, "nan": 2, "die": 1}
"""Kinds of job, with their number in a hundred."""

ENDS = {
    "plain": {"succeeded"},
    "several": {"succeeded"},
    "cancel": {"succeeded", "cancelled"},
    "late": {"succeeded", "expired"},
    "raise": {"failed"},
    "nan": {"failed"},
    "die": {"failed"},
}
"""The allowed ends of a job of each kind."""


@dataclass
class Story:
    """What all customers observed."""

    accepted: set[str] = field(default_factory=set)
    """Ids of jobs."""
    ends: Counter[str] = field(default_factory=Counter)
    took: list[tuple[float, float]] = field(default_factory=list)
    """For each job: its end in seconds of the monotonic clock, and the seconds since it was first sent."""
    wrong: list[str] = field(default_factory=list)
    """Jobs with a forbidden end, lost jobs, and jobs with another's answer."""


async def be_a_customer(clients: Clients, story: Story, chance: random.Random, until: float) -> None:
    """Submits and waits until this time of the monotonic clock; also waits for the last job."""
    while time.monotonic() < until:
        [kind] = chance.choices(list(KINDS), list(KINDS.values()))
        try:
            await _one_job(clients, story, chance, kind)
        except AssertionError as error:  # the report shows it, and the soak continues
            story.wrong.append(f"{kind}: {error}")


async def _one_job(clients: Clients, story: Story, chance: random.Random, kind: str) -> None:
    names = nonces(chance.randint(2, 6) if kind == "several" else 1)
    texts = [f"{name} {kind}" if kind in ("raise", "nan", "die") else name for name in names]
    body: dict[str, Any] = {"inputs": texts, "priority": chance.choice(["high", "normal", "normal", "low"])}
    if kind == "late":
        body["expires_in"] = chance.uniform(0.1, 2)
    began = time.monotonic()
    job = await clients.insist("POST", "/v1/jobs", json=body, headers={"idempotency-key": names[0]})
    story.accepted.add(job["id"])
    if kind == "cancel":
        await asyncio.sleep(chance.uniform(0, 0.2))
        job = await clients.insist("DELETE", job["urls"]["self"])
    deadline = time.monotonic() + 120
    while job["finished_at"] is None:
        assert time.monotonic() < deadline, f"lost, or as good as lost: {job}"
        job = await clients.insist("GET", job["urls"]["self"] + "?wait=5")
    story.took.append((time.monotonic(), time.monotonic() - began))
    story.ends[job["status"]] += 1
    _judge(kind, names, job)
    again = await clients.insist("GET", job["urls"]["self"])
    assert again == job, f"an end that changed: {job}, then {again}"


def _judge(kind: str, names: list[str], job: dict[str, Any]) -> None:
    assert job["status"] in ENDS[kind], job
    if job["status"] == "succeeded":
        answers = [result["output"]["nonce"] for result in job["results"]]
        assert answers == names, f"another's answer: {job}"
