"""Customers for a soak: each submits one job after another, of all kinds, and says what became of it."""

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from tests.faults.clients import Clients, nonces

KINDS = {"plain": 80, "several": 6, "cancel": 5, "late": 3, "raise": 3, "nan": 2, "die": 1}
"""What a job is like, by how many of a hundred are."""

ENDS = {
    "plain": {"succeeded"},
    "several": {"succeeded"},
    "cancel": {"succeeded", "cancelled"},
    "late": {"succeeded", "expired"},
    "raise": {"failed"},
    "nan": {"failed"},
    "die": {"failed"},
}
"""The ends that a job of each kind may have."""


@dataclass
class Story:
    """What all customers saw."""

    accepted: set[str] = field(default_factory=set)
    """Ids of jobs."""
    ends: Counter[str] = field(default_factory=Counter)
    took: list[tuple[float, float]] = field(default_factory=list)
    """Each job's end, in seconds of the monotonic clock, and the seconds since it was first sent."""
    wrong: list[str] = field(default_factory=list)
    """Jobs that ended as they must not, were lost, or had another's answer."""


async def be_a_customer(clients: Clients, story: Story, chance: random.Random, until: float) -> None:
    """Submits and waits until the monotonic clock says so; the last job is waited for."""
    while time.monotonic() < until:
        [kind] = chance.choices(list(KINDS), list(KINDS.values()))
        try:
            await _one_job(clients, story, chance, kind)
        except AssertionError as error:  # it is told in the report, and the soak goes on
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
