"""`python -m tests.faults.soak --minutes 5` runs customers and injects faults all the time; prints a report.

Exit status 1 if a job was lost, ended twice or wrongly, or anything was left behind. The seed determines the
faults and their order. What they hit depends on the machine.
"""

import argparse
import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.faults import harms, hostility
from tests.faults.customers import Story, be_a_customer
from tests.faults.scenario import Scenario, scenario
from tests.faults.soak_report import Soak, report
from tests.faults.vitals import Vitals

HARMS: dict[str, harms.Harm] = {harm.__name__: harm for harm in (*harms.ALL, *hostility.ALL)}
CUSTOMERS = 24
WORKERS = 2
APIS = 2
CALM = (1.0, 6.0)
"""Range of the random seconds between one fault's end and the next fault."""


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=2.0)
    parser.add_argument(
        "--harms", default=",".join(HARMS), help="kinds of harm, separated by commas (default: all)"
    )
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    arguments = parser.parse_args(argv)
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    log = folder / "log"
    with log.open("w") as lines:
        os.dup2(lines.fileno(), sys.stderr.fileno())  # also for the processes that will be started
    print(
        f"seed {arguments.seed}: {arguments.minutes:g} minutes, {CUSTOMERS} customers; logs in {log}",
        flush=True,
    )
    chosen = [HARMS[name] for name in arguments.harms.split(",")]
    soak = asyncio.run(_soak(folder, arguments.minutes * 60, arguments.seed, chosen))
    print(report(soak))
    if soak.faults:
        return 1
    shutil.rmtree(folder)
    return 0


async def _soak(folder: Path, seconds: float, seed: int, chosen: Sequence[harms.Harm]) -> Soak:
    options = {"max_batch_items": 8, "batch_timeout": 5.0, "memory_limit": 512, "options": {"seconds": 0.02}}
    async with scenario(
        folder,
        workers=WORKERS,
        apis=APIS,
        model=options,
        max_attempts=100,
        log_level="info",
        result_ttl=60,
        idempotency_ttl=60,
    ) as run:
        soak = Soak(seed, Story(), Counter(), Vitals(), [], time.monotonic())
        until = time.monotonic() + seconds
        beside = [
            asyncio.create_task(soak.vitals.watch(run.stack)),
            asyncio.create_task(_tell(soak, until)),
        ]
        customers = [
            be_a_customer(run.clients, soak.story, random.Random(f"{seed} {number}"), until)
            for number in range(CUSTOMERS)
        ]
        await asyncio.gather(_do_harm(run, soak, random.Random(seed), until, chosen), *customers)
        soak.ended = time.monotonic()
        for task in beside:
            task.cancel()
        soak.failures = run.clients.failures
        soak.doubles = len(run.witness.doubles())
        soak.story.wrong += [
            f"accepted twice under one key: {job_id}"
            for job_id in run.witness.ends.keys() - soak.story.accepted
        ]
        soak.story.wrong += [
            f"died by itself: {process.args!r}"
            for process in [*run.stack.workers, *run.stack.apis.values()]
            if process.poll() is not None
        ]
        try:
            await run.nothing_left()
        except AssertionError as error:
            soak.story.wrong.append(f"left behind: {error}")
        return soak


async def _do_harm(
    run: Scenario, soak: Soak, chance: random.Random, until: float, chosen: Sequence[harms.Harm]
) -> None:
    """Injects all kinds of faults in a random order, repeatedly."""
    order: list[harms.Harm] = []
    while time.monotonic() < until:
        await asyncio.sleep(chance.uniform(*CALM))
        order = order or chance.sample(chosen, len(chosen))
        harm = order.pop()
        soak.now = harm.__name__.replace("_", " ")
        soak.harms[soak.now] += 1
        began = time.monotonic()
        try:
            soak.story.accepted |= await harm(run.stack, chance) or set()
        except AssertionError as error:  # the report shows it, and the soak continues
            soak.story.wrong.append(f"{soak.now}: {error}")
        soak.done.append((soak.now, began, time.monotonic()))
        soak.now = "calm"


async def _tell(soak: Soak, until: float) -> None:
    """Prints a live line on a terminal, or a line every ten seconds elsewhere."""
    live = sys.stdout.isatty()
    while True:
        await asyncio.sleep(1 if live else 10)
        print(f"\r{soak.line(until)}" if live else soak.line(until), end="" if live else "\n", flush=True)


if __name__ == "__main__":
    sys.exit(main())
