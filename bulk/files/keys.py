"""The Redis keys of files. All are in the first shard. No other file contains their names."""

from jobs.ledger.keys import Key

FILE = Key(
    "batchline:bulk-file:*",
    "hash",
    "api, bulk",
    "permanent; until the file is deleted or expires",
    "a file: owner, purpose, bytes, created, expires (Unix ms, or nothing), filename",
    True,
)
FILES_OF = Key(
    "batchline:bulk-files:*",
    "zset",
    "api, bulk",
    "permanent",
    "<owner or `*` for all>:<purpose or nothing for all>; file id -> created, Unix ms",
    True,
)
EXPIRY = Key("batchline:bulk-expiry", "zset", "api, bulk", "permanent", "file id -> expires, Unix ms", True)
STORED = Key(
    "batchline:bulk-stored", "hash", "api, bulk", "permanent", "owner -> bytes of the owner's files", True
)
UPLOADS = Key(
    "batchline:bulk-uploads:*",
    "hash",
    "api",
    "a minute after the newest renewal",
    "owner's uploads that are being received: file id -> <reserved bytes> <end of the reservation, Unix ms>",
)
CLEANED = Key(
    "batchline:bulk-cleaned:*", "string", "bulk", "as the work is repeated", "that a process cleaned recently"
)

ALL = (FILE, FILES_OF, EXPIRY, STORED, UPLOADS, CLEANED)
