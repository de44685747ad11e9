"""Primaries killed at random moments: with `durable_submit=replica` no accepted job is lost."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cluster import deployment, nodes
from tests.cluster.deployment import Deployment
from tests.faults.clients import nonces
from tests.waiting import until

KILLS = 4


class Killing:
    """Submits unique inputs, and kills a primary whenever a share of them is accepted."""

    def __init__(self, run: Deployment, chance: random.Random, jobs: int) -> None:
        self._run = run
        self._jobs = jobs
        self._chance = chance
        self.kills = 0
        self.in_flight: list[int] = []
        """Jobs that were accepted and had not run at each kill."""

    async def submit(self, texts: list[str]) -> None:
        """As one client that submits its jobs one by one."""
        while True:
            await until(self._killed_enough, 90)
            if not texts:
                return
            await self._run.clients.submit(texts.pop())

    async def kill(self) -> None:
        cluster = self._run.cluster
        while self.kills < KILLS:
            await until(self._accepted_enough, 90)
            await asyncio.sleep(self._chance.uniform(0, 0.1))  # a random moment
            victim = self._chance.choice(cluster.primaries())
            self.in_flight.append(len(self._run.clients.accepted) - len(self._run.executions()))
            cluster.kill(victim)
            self.kills += 1
            # a primary that is back before its replica has taken over stays the primary
            await asyncio.to_thread(cluster.wait_for_failover, victim)
            await asyncio.to_thread(cluster.restart, victim)

    async def _accepted_enough(self) -> bool:
        """Whether enough jobs are accepted for one more kill."""
        return len(self._run.clients.accepted) >= self._jobs * (self.kills + 0.5) // (KILLS + 1)

    async def _killed_enough(self) -> bool:
        """Whether enough primaries were killed to submit more jobs: each share of them meets a kill."""
        return len(self._run.clients.accepted) <= self._jobs * (self.kills + 1) // (KILLS + 1)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("count", [500, pytest.param(2_000, marks=pytest.mark.thorough)])
async def test_jobs_while_primaries_are_killed(
    cluster: nodes.Cluster, tmp_path: Path, count: int, figure: Callable[[str], None]
) -> None:
    chance = random.Random(14)
    model = {"max_batch_items": 8, "options": {"seconds": 0.15}}
    async with deployment.running(
        cluster, tmp_path, workers=2, apis=2, model=model, durable_submit="replica"
    ) as run:
        killing, texts = Killing(run, chance, count), nonces(count)
        async with asyncio.TaskGroup() as group:
            group.create_task(killing.kill())
            for _ in range(32):
                group.create_task(killing.submit(texts))
        jobs = await run.check()
        assert len(jobs) == count
        assert len({job["id"] for job in jobs.values()}) == count
        assert killing.kills == KILLS
        again = sum(run.executions().values()) - count
        figure(
            f"{count:,} jobs, {KILLS} primaries killed with {killing.in_flight} jobs in flight: none lost,"
            f" none wrong, {again} inputs ran again, requests repeated: {dict(run.clients.failures)}"
        )
        await until(run.ready)


async def test_a_job_that_only_the_primary_has_is_not_accepted(
    cluster: nodes.Cluster, tmp_path: Path
) -> None:
    """Its replica is cut off, then the primary dies, and the replica takes over without these jobs."""
    async with deployment.running(cluster, tmp_path, durable_submit="replica") as run:
        await run.clients.submit(*nonces(30))
        await run.clients.ended()
        victim = cluster.owner("{0}")
        [replica] = cluster.replicas(victim)
        admin = cluster.admin(victim)
        with cluster.standing_still(replica):
            admin.client_kill_filter(_type="slave")
            before = admin.dbsize()
            submits = asyncio.create_task(run.clients.submit(*nonces(60)))

            async def some_are_nowhere_else() -> bool:
                return bool(admin.dbsize() > before + 5)

            await until(some_are_nowhere_else)
            cluster.kill(victim)
        await asyncio.to_thread(cluster.wait_for_failover, victim)
        await asyncio.to_thread(cluster.restart, victim)
        await submits
        await run.check()
        assert run.clients.failures["503"] > 0
