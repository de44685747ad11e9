"""JobQueue against a plain dictionary: whatever is done to it in whatever order, both tell the same story."""

import asyncio
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)
from msgspec.structs import replace

from jobs.errors import QueueFull
from jobs.ledger import keys
from jobs.ledger.leasing import Claimed
from jobs.owners import Sender
from jobs.settings import Settings
from jobs.store.connection import connect
from tests.conftest import keys_without_lifetime
from tests.jobs.ledger.test_limits import held_by
from tests.jobs.ledger.test_queue import ending, new_job
from tests.ledger import SHARDS, JobQueue

T = TypeVar("T")
MODEL = "sentiment"
SOME = st.integers(0, 99)
"""Which job or claim a rule is about. Bundles would not do: with several shards the same steps may claim
other jobs, and Hypothesis wants the same choices to be possible again."""

LIMIT = 6
"""Jobs in the queue: few, so that the limit is met."""


@dataclass
class Told:
    """What the dictionary knows of a job."""

    state: str = "queued"
    token: str | None = None
    attempts: int = 0
    owner: str = ""
    ended_by: set[str] = field(default_factory=set)
    inputs: int = 1


class QueueMachine(RuleBasedStateMachine):
    """Every rule does one thing to the queue and to the dictionary."""

    url: str

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.redis = connect(Settings(redis_url=self.url), connections=2)
        self.queue = JobQueue(self.redis, Settings(max_queued_jobs=LIMIT, shards=SHARDS), [MODEL])
        self.told: dict[str, Told] = {}
        self.claims: list[Claimed] = []
        self.do(self.redis.flushdb())

    def do(self, work: Awaitable[T]) -> T:
        async def run() -> T:
            return await work

        return self.loop.run_until_complete(run())

    def a_claim(self, which: int) -> Claimed | None:
        return self.claims[which % len(self.claims)] if self.claims else None

    def unfinished(self) -> list[str]:
        return [job_id for job_id, told in self.told.items() if told.state in ("queued", "running")]

    @rule(
        priority=st.sampled_from(["low", "normal", "high"]),
        owner=st.sampled_from(["", "", "ann", "bob"]),
        inputs=st.integers(1, 3),
    )
    def submit(self, priority: str, owner: str, inputs: int) -> None:
        new = replace(
            new_job(priority=priority),
            inputs=["x"] * inputs,
            count=inputs,
            sender=Sender(owner, f"of {owner}"),
        )
        self.queue._admission._counted.clear()  # it knows what ended, in every shard
        job_id = self.do(self.queue.new_id(new.sender))
        try:
            job, _ = self.do(self.queue.submit(new, job_id=job_id))
        except QueueFull:
            assert len(self.unfinished()) >= LIMIT
            return
        held = [told.owner for told in self.told.values() if told.state in ("queued", "running")]
        # a full queue has room for an owner that has less than its part
        assert len(held) < LIMIT or (owner and held.count(owner) < LIMIT and len(held) < 2 * LIMIT)
        self.told[job.id] = Told(owner=owner, inputs=inputs)
        self.do(self.queue.submit(new, job_id=job_id))  # sent again because its answer was lost

    @rule(most=st.integers(1, 3), workers=st.integers(1, 3))
    def claim(self, most: int, workers: int) -> None:
        waiting = [job_id for job_id, told in self.told.items() if told.state == "queued"]
        claimed, left = self.do(self.queue.claim(MODEL, most, workers))
        share = min(most, -(-len(waiting) // workers))
        enough = sum(self.told[job.id].inputs for job in claimed) >= most
        if SHARDS == 1:
            assert len(claimed) == share or (enough and len(claimed) < share)
        else:  # a share of each shard, in inputs
            assert bool(claimed) == bool(waiting)
        assert len(claimed) <= most
        assert left == len(waiting) - len(claimed)
        for job in claimed:
            told = self.told[job.id]
            assert told.state == "queued"
            told.state, told.token = "running", job.token
            assert job.attempts == told.attempts
        self.claims += claimed

    @rule(which=SOME)
    def renew(self, which: int) -> None:
        if (claim := self.a_claim(which)) is None:
            return
        lost, over = self.do(self.queue.renew(MODEL, [claim]))
        told = self.told[claim.id]
        ended = told.state not in ("queued", "running")
        assert over == ({claim.id} if ended else set())
        assert lost == (set() if ended or told.token == claim.token else {claim.id})

    @rule(which=SOME)
    def start(self, which: int) -> None:
        if (claim := self.a_claim(which)) is None:
            return
        self.do(self.queue.start([claim]))
        if self.told[claim.id].token == claim.token:
            self.told[claim.id].attempts = claim.attempts + 1

    @rule(which=SOME)
    def finish(self, which: int) -> None:
        if (claim := self.a_claim(which)) is None:
            return
        told = self.told[claim.id]
        refused = self.do(self.queue.finish(MODEL, [ending(claim)]))
        if told.token == claim.token:
            assert refused == set()
            told.state, told.token = "succeeded", None
            told.ended_by.add(claim.token)
        else:
            # sent again, it is accepted silently; from anyone else it is late
            assert refused == (set() if claim.token in told.ended_by else {claim.id})

    @rule(which=SOME)
    def release(self, which: int) -> None:
        if (claim := self.a_claim(which)) is None:
            return
        told = self.told[claim.id]
        self.claims.remove(claim)
        given_back = self.do(self.queue.release(MODEL, [(claim, 0)]))
        assert given_back == (told.token == claim.token)
        if given_back:
            told.state, told.token = "queued", None
            told.attempts = min(told.attempts, claim.attempts)  # a stop in order takes the charge off

    @rule(which=SOME)
    def cancel(self, which: int) -> None:
        if not self.told:
            return
        job_id, told = list(self.told.items())[which % len(self.told)]
        job = self.do(self.queue.cancel(job_id))
        if told.state in ("queued", "running"):
            told.state, told.token = "cancelled", None
        assert job.status == told.state

    @rule(which=SOME)
    def a_lease_runs_out(self, which: int) -> None:
        if (claim := self.a_claim(which)) is None:
            return
        told = self.told[claim.id]
        if told.token == claim.token:
            self.do(self.queue.lapse(claim.id))
            told.state, told.token = "queued", None
            assert self.do(self.queue.sweep(MODEL)) == (1, 0, 0)

    @rule(which=SOME)
    def a_deadline_passes(self, which: int) -> None:
        if not self.told:
            return
        job_id, told = list(self.told.items())[which % len(self.told)]
        if told.state == "queued":
            self.do(self.redis.zadd(self.do(self.queue.beside(keys.DEADLINES, job_id)), {job_id: 1}))
            told.state = "expired"
            assert self.do(self.queue.sweep(MODEL)) == (0, 1, 0)

    @rule(which=SOME)
    def a_stock_client_aborts(self, which: int) -> None:
        if not self.told:
            return
        job_id, told = list(self.told.items())[which % len(self.told)]
        key = self.do(self.queue.beside(keys.ABORT, job_id))
        self.do(self.redis.zadd(key, {job_id: 2**45}))
        ends = told.state in ("queued", "running")
        assert self.do(self.queue.sweep(MODEL)) == (0, 0, int(ends))
        if ends:
            told.state, told.token = "cancelled", None
        self.do(self.redis.zrem(key, job_id))

    @rule()
    def redis_forgets_its_scripts(self) -> None:
        self.do(self.redis.script_flush())

    @invariant()
    def both_tell_the_same(self) -> None:
        for job_id, told in self.told.items():
            job = self.do(self.queue.read(job_id))
            assert job.status == told.state
            assert told.state not in ("queued", "running") or job.attempts == told.attempts

    @invariant()
    def nothing_drifts(self) -> None:
        depth = self.do(self.queue.depth())[MODEL]
        states = [told.state for told in self.told.values()]
        assert (depth.waiting, depth.running) == (states.count("queued"), states.count("running"))
        payloads = [self.do(self.queue.key(keys.JOB, job_id)) for job_id in self.unfinished()]
        sizes = [self.do(self.redis.strlen(payload)) for payload in payloads]
        assert depth.bytes == sum(sizes)
        assert depth.inputs == sum(self.told[job_id].inputs for job_id in self.unfinished())
        of_owners = dict(zip(self.unfinished(), sizes, strict=True))
        for owner in ("", "ann", "bob"):
            held = [job_id for job_id in self.unfinished() if owner and self.told[job_id].owner == owner]
            inputs = sum(self.told[job_id].inputs for job_id in held)
            expected = Counter(jobs=len(held), inputs=inputs, bytes=sum(of_owners[job_id] for job_id in held))
            assert self.do(held_by(self.queue, owner)) == +expected
        assert self.do(keys_without_lifetime(self.redis)) == []
        lines = self.do(self.redis.keys(keys.WAITING.of("*")))
        owned = [told.owner != "" for told in self.told.values() if told.state == "queued"]
        assert sum(self.do(self.redis.zcard(line)) for line in lines) == sum(owned)

    def teardown(self) -> None:
        self.do(self.queue.close())
        self.do(self.redis.flushdb())
        self.do(self.redis.aclose(close_connection_pool=True))
        self.loop.close()


def test_the_queue_and_a_dictionary_tell_the_same_story(redis_url: str) -> None:
    machine = type("Machine", (QueueMachine,), {"url": redis_url})
    limits = settings(
        max_examples=40,
        stateful_step_count=25,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(machine, settings=limits)
