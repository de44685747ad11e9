"""Table: both sides of the batches of a shard, and what a client asks for."""

from typing import Any

from bulk.batches import keys
from bulk.batches.batch import Asked, BatchState, Fault
from bulk.batches.batches import Batches
from bulk.batches.runs import NewOutput, Part, Runs, Taken
from jobs.ledger.shard import Shard
from jobs.owners import ANONYMOUS, Sender

PART = Part("0-abc", 2, 1, 20, 10)


def asked(owner: str = "", **changed: Any) -> Asked:
    fields: dict[str, Any] = {
        "endpoint": "/v1/embeddings",
        "input_file_id": "file-0123456789",
        "completion_window": "24h",
        "window": 86_400,
        "sender": Sender(owner) if owner else ANONYMOUS,
        **changed,
    }
    return Asked(**fields)


async def lapse(shard: Shard, batch_id: str, owner: str = "") -> None:
    """Ends the lease of a batch, as if it had not been renewed."""
    await shard.redis.zadd(shard.key(keys.OPEN, f"={owner}"), {batch_id: 1}, xx=True)
    await shard.redis.zadd(shard.key(keys.OPEN_OWNERS), {owner: 1}, xx=True)


class Table:
    """Both sides of the batches of a shard."""

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.batches = Batches(shard)
        self.runs = Runs(shard)

    async def taken(self, owner: str = "") -> Taken:
        await self.batches.create(asked(owner))
        taken = await self.runs.take()
        assert taken is not None
        return taken

    async def begin(self, taken: Taken) -> None:
        await self.runs.begin(taken, model="sentiment", total=3, chunks=1, table="t1")

    async def finish(self, taken: Taken) -> None:
        file = NewOutput("output_file_id", f"file-{taken.batch.id}-output", "out.jsonl", 20)
        await self.runs.finish(taken, [file])

    async def status(self, taken: Taken) -> BatchState:
        return (await self.batches.retrieve(taken.batch.id, sees=None)).status

    async def bring(self, taken: Taken, state: BatchState) -> None:
        """Takes the batch from its begin to a state."""
        chunk, late = self.runs.chunk_done, state is BatchState.EXPIRED
        if state is BatchState.FAILED:
            await self.runs.fail(taken, [Fault(code="empty_file", message="no lines")])
        elif state in (BatchState.CANCELLING, BatchState.CANCELLED):
            await self.batches.cancel(taken.batch.id, sees=None)
        elif state is not BatchState.VALIDATING:
            await self.begin(taken)
            if state is not BatchState.IN_PROGRESS:
                await chunk(taken, 0, PART, late=int(late))
                await self.runs.finalize(taken)
        if state in (BatchState.COMPLETED, BatchState.EXPIRED, BatchState.CANCELLED):
            await self.finish(taken)
