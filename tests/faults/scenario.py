"""A scenario: a stack, its clients, a witness, and the checks that must pass after every scenario."""

from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from jobs.ledger import keys
from tests.conftest import keys_without_lifetime
from tests.faults import stack as stacks
from tests.faults import witness as witnesses
from tests.faults.clients import Clients
from tests.faults.stack import MODEL, Stack
from tests.faults.witness import Witness
from tests.waiting import until


@dataclass(frozen=True)
class Scenario:
    """Create one with `scenario`."""

    stack: Stack
    clients: Clients
    witness: Witness

    async def check(self, *, failed: frozenset[str] = frozenset()) -> dict[str, dict[str, Any]]:
        """Checks that every accepted job has one end, the right one, and its own answer, and nothing is left.

        `failed` are the inputs that must have failed; all others must have succeeded. Returns the jobs by
        their input.
        """
        jobs = await self.clients.ended()
        executions = self.stack.executions()
        for text, job in jobs.items():
            nonce = text.partition(" ")[0]
            assert job["status"] == ("failed" if text in failed else "succeeded"), job
            if job["status"] == "succeeded":
                assert job["results"][0]["output"]["nonce"] == nonce, "its own answer"
                assert executions[nonce], "an answer that somebody computed"
        assert self.witness.doubles() == {}, "one end each"
        await until(partial(self._witnessed, jobs))
        assert await self.clients.ended() == jobs, "an end that stays"
        await self.nothing_left()
        return jobs

    async def _witnessed(self, jobs: Collection[str]) -> bool:
        """Whether the witness has seen the ends of these jobs; a client may learn of an end earlier."""
        return bool(self.witness.ends) or not jobs

    async def nothing_left(self) -> None:
        await until(self.stack.drained)
        redis = self.stack.redis
        assert (await self.stack.queue.depth())[MODEL].bytes == 0
        assert await self.stack.queue.members(keys.DEADLINES) == 0
        for key in (keys.LEASE, keys.ATTEMPTS, keys.PROGRESS):
            assert await redis.keys(key.pattern) == []
        assert await keys_without_lifetime(redis) == []


@asynccontextmanager
async def scenario(folder: Path, **how: Any) -> AsyncIterator[Scenario]:
    """A scenario; `how` has the arguments of `stack.running`: workers, apis, model, server, settings."""
    async with (
        stacks.running(folder, **how) as stack,
        witnesses.watching(stack) as witness,
        Clients(stack.apis) as clients,
    ):
        yield Scenario(stack, clients, witness)
