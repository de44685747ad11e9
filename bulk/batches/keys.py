"""The Redis keys of batches. All are in the slot of shard 0; docs/architecture.md shows them too."""

from jobs.ledger.keys import Key

BATCH = Key(
    "batchline:batch:*",
    "hash",
    "api, bulk",
    "until its end; then batch_ttl",
    "a batch: what was asked (JSON), status, times, counts, the runner's token",
    permanent=True,
)
CHUNKS = Key(
    "batchline:batch-chunks:*",
    "hash",
    "bulk",
    "until the parts of its batch are deleted",
    "chunk -> <name of its part> <completed> <failed> <bytes of output> <bytes of errors>",
    permanent=True,
)
OPEN = Key(
    "batchline:open-batches:*",
    "zset",
    "api, bulk",
    "permanent; members until nothing is left to do",
    "an owner's (`=alice`) open batches: id -> end of its runner's lease, or since when it waits; Unix ms",
    permanent=True,
)
OPEN_OWNERS = Key(
    "batchline:batch-owners",
    "zset",
    "api, bulk",
    "permanent; members until the owner has no open batch",
    "owner -> the earliest time in the owner's zset of open batches",
    permanent=True,
)
STATES = Key(
    "batchline:batch-states",
    "zset",
    "api, bulk",
    "permanent; members until their end",
    "id of an unfinished batch -> 10^13 x the number of its state (record.lua) + created, Unix ms",
    permanent=True,
)
COUNTS = Key(
    "batchline:batch-counts",
    "hash",
    "bulk",
    "permanent",
    "state -> batches that have ended so; `lines:completed`, `lines:failed` -> lines with such an outcome",
    permanent=True,
)
LIST = Key(
    "batchline:batches:*",
    "zset",
    "api",
    "the longest life of a batch, after the newest",
    "id -> created, Unix ms: of the batches of one owner (`=alice`), or of all (`*`)",
)

PROCESSES = Key(
    "batchline:bulk-processes",
    "zset",
    "bulk",
    "a minute",
    "<host> <process id> of a bulk process -> its newest report, Unix seconds",
)

ALL = (BATCH, CHUNKS, OPEN, OPEN_OWNERS, STATES, COUNTS, LIST, PROCESSES)
