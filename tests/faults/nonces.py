"""`python -m tests.faults.nonces --inputs 50000 --kills 100` sends unique inputs to an echo class, kills its
engines at random moments, and compares every output with its input.

Exit status 1 if an output was another input's, or missing. Only engines that the run started are killed.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests.faults.clients import nonces
from tests.faults.killing import kill
from tests.faults.scenario import Scenario, scenario
from tests.waiting import until

MODEL = {"max_batch_items": 32, "options": {"seconds": 0.002}}
WORKERS = 2
MOST_PER_JOB = 50
"""Most inputs in one job; each job has a random number of them."""
AT_ONCE = 16
"""Number of concurrent jobs."""
PATIENCE = 120.0
"""Seconds for an engine to restart, and for a share of the inputs to be answered."""


@dataclass
class Echoed:
    """The outcome of a run."""

    inputs: int = 0
    right: int = 0
    wrong: list[str] = field(default_factory=list)
    """Inputs with an output that is not their own."""
    lost: list[str] = field(default_factory=list)
    """Inputs without an output."""
    kills: int = 0
    seconds: float = 0.0

    def compare(self, texts: list[str], results: Sequence[dict[str, Any]]) -> None:
        """Compares each output of an ended job with its input."""
        self.inputs += len(texts)
        self.lost += texts[len(results) :]
        for text, result in zip(texts, results, strict=False):
            output = result.get("output")
            if output is None:
                self.lost.append(f"{text}: {result}")
            elif output["nonce"] != text or output["text"] != text.upper():
                self.wrong.append(f"{text}: {output}")
            else:
                self.right += 1

    def __str__(self) -> str:
        return (
            f"{self.inputs:,} unique inputs, {self.kills} engines killed, {self.seconds:.0f} s:"
            f" {self.right:,} right, {len(self.wrong)} wrong, {len(self.lost)} lost"
        )


@dataclass
class Run:
    """One run, as started by `run`."""

    stage: Scenario
    inputs: int
    kills: int
    chance: random.Random
    found: Echoed = field(default_factory=Echoed)

    async def send(self, waiting: list[list[str]]) -> None:
        """Submits one job after another and compares its outputs with its inputs."""
        clients = self.stage.clients
        while waiting:
            texts = waiting.pop()
            await until(self.killed_enough, PATIENCE)
            key = {"idempotency-key": texts[0]}
            job = await clients.insist("POST", "/v1/jobs?wait=10", json={"inputs": texts}, headers=key)
            while job["finished_at"] is None:
                job = await clients.insist("GET", f"/v1/jobs/{job['id']}?wait=10")
            self.found.compare(texts, job["results"] or [])

    async def kill(self) -> None:
        """Kills one engine at a time, each when its share of the inputs is answered."""
        while self.found.kills < self.kills:
            await until(self.answered_enough, PATIENCE)
            await asyncio.sleep(self.chance.uniform(0, 0.05))  # a random moment
            victim = self.chance.choice(self.stage.stack.workers)
            await until(partial(self.stage.stack.ready, victim), PATIENCE)
            self.found.kills += (await kill(victim, "engine")).engine is not None

    async def answered_enough(self) -> bool:
        """Whether enough inputs are answered for one more kill."""
        return self.found.inputs >= self.inputs * self.found.kills // (self.kills + 1)

    async def killed_enough(self) -> bool:
        """Whether enough engines were killed to send more jobs: each share of inputs meets a kill."""
        return self.found.inputs <= self.inputs * (self.found.kills + 1) // (self.kills + 1)


async def run(folder: Path, inputs: int, kills: int, seed: int) -> Echoed:
    """Spreads inputs and kills evenly over each other, so that a fast machine gets as many kills."""
    began, chance = time.monotonic(), random.Random(seed)
    async with scenario(folder, workers=WORKERS, model=MODEL, max_attempts=1_000) as stage:
        run, waiting = Run(stage, inputs, kills, chance), _jobs(inputs, chance)
        await asyncio.gather(run.kill(), *(run.send(waiting) for _ in range(AT_ONCE)))
        await stage.nothing_left()
        assert stage.witness.doubles() == {}, "one end each"
    run.found.seconds = time.monotonic() - began
    return run.found


def _jobs(inputs: int, chance: random.Random) -> list[list[str]]:
    """Jobs of random sizes, with this number of inputs in all."""
    left = nonces(inputs, "nonce-")
    jobs = []
    while left:
        size = chance.randint(1, MOST_PER_JOB)
        jobs.append(left[:size])
        left = left[size:]
    return jobs


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.nonces", description=__doc__)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args(argv)
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="nonces-") as folder:
        found = asyncio.run(run(Path(folder), arguments.inputs, arguments.kills, arguments.seed))
    print(found)
    print("\n".join([*found.wrong[:20], *found.lost[:20]]))
    return 1 if found.wrong or found.lost else 0


if __name__ == "__main__":
    sys.exit(main())
