"""Runs: the runner's side: leases of batches, and the transitions that only the holder of a lease may do."""

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

import msgspec

from bulk.batches import keys, scripted
from bulk.batches.batch import Batch, BatchState, Fault
from bulk.batches.scripted import Scripts
from bulk.files.records import Records
from jobs.ledger import ownership
from jobs.ledger.shard import Shard


class LeaseLost(Exception):
    """Another runner has the batch by now, or it is gone: this one must leave it alone."""


class Refused(Exception):
    """The batch is not in a state from which this transition is allowed: `status` is its state now."""

    def __init__(self, status: BatchState) -> None:
        super().__init__(f"the batch is {status}")
        self.status = status


class Taken(NamedTuple):
    """A batch that was leased to this runner."""

    batch: Batch
    token: str
    taken_over: bool
    """Whether another runner held it before and did not give it back."""


class Held(NamedTuple):
    """A batch whose lease was renewed."""

    status: BatchState
    left: float
    """Seconds until its window ends."""
    lost: int
    """As `Batch.lost`, now."""


class Part(NamedTuple):
    """The stored outcomes of a chunk."""

    name: str
    completed: int
    failed: int
    output_bytes: int
    error_bytes: int


class NewOutput(NamedTuple):
    """A file with outcomes whose content is stored."""

    field: Literal["output_file_id", "error_file_id"]
    id: str
    name: str
    bytes: int


class Runs:
    """The leases of all batches. Methods raise QueueUnavailable; those of one batch LeaseLost and Refused."""

    def __init__(self, shard: Shard) -> None:
        """`shard` is the first one."""
        self._scripts = Scripts(shard)
        self._shard = shard
        self._settings = shard.settings
        self._file_arguments = Records(shard).arguments

    @property
    def lease_ms(self) -> int:
        return int(self._settings.lease * 1000)

    async def take(self) -> Taken | None:
        """Leases a batch that no runner holds: owners take turns, the oldest is first. None if none is."""
        token = secrets.token_hex(16)
        answer = await self._scripts.run(
            "take",
            open_owners=self._shard.key(keys.OPEN_OWNERS),
            batch_states=self._shard.key(keys.STATES),
            open_prefix=self._shard.key(keys.OPEN, ownership.argument("")),
            batches=self._shard.key(keys.BATCH),
            token=token,
            lease=self.lease_ms,
        )
        if not answer:
            return None
        batch_id, record, held = answer
        return Taken(scripted.batch(batch_id.decode(), record), token, bool(held))

    async def renew(self, taken: Taken) -> Held:
        """Renews the lease."""
        _, status, left, lost = await self._run("renew", taken, lease=self.lease_ms)
        return Held(BatchState(status.decode()), left / 1000, lost)

    async def release(self, taken: Taken) -> None:
        """Gives the batch back, so that another runner continues at once."""
        await self._run("release", taken)

    async def begin(self, taken: Taken, *, model: str, total: int, chunks: int, table: str) -> None:
        """validating -> in_progress."""
        await self._run("begin", taken, model=model, total=total, number=chunks, table=table)

    async def fail(self, taken: Taken, faults: Sequence[Fault], files: Sequence[NewOutput] = ()) -> None:
        """validating -> failed; also a later state, of a batch that cannot be continued.

        Records the files with what is known of it, whose contents are stored.
        """
        closing = self._closing(taken, files)
        await self._run("fail", taken, faults=msgspec.json.encode(faults), **closing)

    async def chunk_done(self, taken: Taken, chunk: int, part: Part, tokens: int = 0, late: int = 0) -> None:
        """Records the part of a chunk. The first one of a chunk counts; later ones change nothing.

        `late`: lines that were not run because the window has ended.
        """
        sizes = _sizes(part)
        await self._run("chunk", taken, chunk=chunk, tokens=tokens, late=late, part=part.name, **sizes)

    async def parts(self, batch: Batch) -> dict[int, Part]:
        """Returns the parts that are recorded, by chunk."""
        found = await self._scripts.run("parts", chunks=self._shard.key(keys.CHUNKS, batch.id))
        pairs = zip(found[::2], found[1::2], strict=True)
        return {int(chunk): _part(about.decode()) for chunk, about in pairs}

    async def finalize(self, taken: Taken) -> None:
        """in_progress -> finalizing, once every chunk has its part."""
        await self._run("finalize", taken)

    async def finish(self, taken: Taken, files: Sequence[NewOutput]) -> BatchState:
        """finalizing -> completed or expired; cancelling -> cancelled. Returns the new state.

        Records the files too, whose contents are stored.
        """
        _, status = await self._run("finish", taken, **self._closing(taken, files))
        return BatchState(status.decode())

    async def missing(self, batch_ids: Sequence[str]) -> list[str]:
        """Returns those of the batches that have no record."""
        async with self._shard.integrity.intact(), self._shard.redis.pipeline(transaction=False) as pipe:
            for batch_id in batch_ids:
                pipe.exists(self._shard.key(keys.BATCH, batch_id))
            found = await pipe.execute()
        return [batch_id for batch_id, exists in zip(batch_ids, found, strict=True) if not exists]

    async def clear(self, taken: Taken) -> None:
        """Forgets an ended batch's chunks and lease, after its parts were deleted."""
        await self._run("clear", taken)

    def _closing(self, taken: Taken, files: Sequence[NewOutput]) -> dict[str, Any]:
        """What close.lua and outputs.lua need."""
        webhook, lifetime = taken.batch.asked.webhook, taken.batch.asked.output_expires_after
        told = {} if webhook is None else msgspec.to_builtins(webhook)
        return {
            "webhook": msgspec.json.encode({**told, "endpoints": True}),
            "lifetime": int(self._settings.batch_ttl * 1000),
            "files": msgspec.msgpack.encode([file._asdict() for file in files]),
            "file_lifetime": int(1000 * (lifetime or self._settings.file_ttl)),
            **self._file_arguments,
        }

    async def _run(self, name: str, taken: Taken, **given: Any) -> list[Any]:
        batch = taken.batch
        keyed = self._scripts.given(batch.id, batch.owner)
        answer: list[Any] = await self._scripts.run(name, **keyed, token=taken.token, **given)
        match answer:
            case [b"lost"]:
                raise LeaseLost
            case [b"refused", status]:
                raise Refused(BatchState(status.decode()))
            case [b"incomplete"]:
                raise AssertionError(f"a chunk of {batch.id} has no part")
        return answer


def _sizes(part: Part) -> Mapping[str, int]:
    return {
        "completed": part.completed,
        "failed": part.failed,
        "output_bytes": part.output_bytes,
        "error_bytes": part.error_bytes,
    }


def _part(about: str) -> Part:
    name, *sizes = about.split(" ")
    return Part(name, *map(int, sizes))
