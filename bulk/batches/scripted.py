"""Runs the scripts of this room in shard 0, and converts records from Redis."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bulk.batches import keys
from bulk.batches.batch import Asked, Batch, BatchState, Counts, Fault
from jobs.ledger import ownership
from jobs.ledger.shard import Shard
from jobs.store import lua

ROOM = "bulk.batches"

TIMES = (
    "created_at",
    "expires_at",
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)

_asked = msgspec.json.Decoder(Asked)
_faults = msgspec.json.Decoder(tuple[Fault, ...])


class Scripts:
    """The scripts of this room, with the keys that they need. Raises QueueUnavailable."""

    def __init__(self, shard: Shard) -> None:
        """`shard` is the first one, whose slot has all batches."""
        self.shard = shard

    def given(self, batch_id: str, owner: str) -> dict[str, Any]:
        """The keys of a batch, its id and its owner."""
        key = self.shard.key
        return {
            "batch": key(keys.BATCH, batch_id),
            "chunks": key(keys.CHUNKS, batch_id),
            "open_batches": key(keys.OPEN, ownership.argument(owner)),
            "open_owners": key(keys.OPEN_OWNERS),
            "batch_states": key(keys.STATES),
            "batch_counts": key(keys.COUNTS),
            "batches": key(keys.BATCH),
            "id": batch_id,
            "owner": owner,
        }

    async def run(self, name: str, /, **given: Any) -> Any:
        """Runs a script and returns its answer."""
        return await self.shard.run(lua.script(name, ROOM), **given)


def batch(batch_id: str, record: Sequence[bytes]) -> Batch:
    """Returns a batch from its record, as HGETALL returns it."""
    fields = dict(zip(map(bytes.decode, record[::2]), record[1::2], strict=True))
    times = {name: int(fields[name]) for name in TIMES if name in fields}
    return Batch(
        id=batch_id,
        asked=_asked.decode(fields["asked"]),
        status=BatchState(fields["status"].decode()),
        counts=Counts(*(_number(fields, name) for name in Counts._fields)),
        tokens=_number(fields, "tokens"),
        model=_text(fields, "model"),
        faults=_faults.decode(fields["faults"]) if "faults" in fields else (),
        output_file_id=_text(fields, "output_file_id"),
        error_file_id=_text(fields, "error_file_id"),
        chunks=_number(fields, "chunks"),
        table=_text(fields, "table"),
        lost=_number(fields, "lost"),
        outcome=BatchState(fields["outcome"].decode()) if "outcome" in fields else None,
        **times,
    )


def _number(fields: Mapping[str, bytes], name: str) -> int:
    return int(fields.get(name, 0))


def _text(fields: Mapping[str, bytes], name: str) -> str | None:
    return fields[name].decode() if name in fields else None
