"""Every Redis key and channel: its type, writer and lifetime. No other file contains a key name.

The ledger uses arq's own keys (`arq:*`, names from `arq.constants`), so that a stock arq client can read
it. Batchline adds one sorted set of deadlines and one counter for each model, and a few short-lived keys.
docs/architecture.md shows the same table.

Each shard has its own keys of every kind. They carry the shard's hash tag, such as `{3}`: see `tag`.
"""

from dataclasses import dataclass

from arq.constants import (
    abort_jobs_ss,
    in_progress_key_prefix,
    job_key_prefix,
    result_key_prefix,
    retry_key_prefix,
)

RUNNING = 10**15
"""Queue scores below this are due times in Unix ms: the job waits. From this value on the job is leased, and
the score is RUNNING + the lease's end in Unix ms. So a claimed job is outside the due range but still in its
queue (as a stock client expects), and the score shows whether its lease has ended."""

PARKED = 2 * 10**15
"""From this value on the job of a named owner waits, and the score is PARKED + its due time. Its owner's own
order (WAITING) has it too; claims take it from there, by shares (docs/decisions/037)."""

EVENTS = "batchline:events"
"""Channel: msgpack list of [id, state, record or nil]; one message holds the transitions of many jobs. Each
API process has a channel of its own, `batchline:events:<process>`; workers of release 0.1 use this one."""


@dataclass(frozen=True)
class Key:
    """One kind of key; `*` in `pattern` is the variable part."""

    pattern: str
    type: str
    owner: str
    lifetime: str
    holds: str
    permanent: bool = False

    def of(self, name: str = "", tag: str = "") -> str:
        """Returns the key of a job or model in the shard with that hash tag; without a name its prefix."""
        if "*" in self.pattern:
            return self.pattern.replace("*", tag + name)
        return f"{self.pattern}:{tag}" if tag else self.pattern


JOB = Key(
    f"{job_key_prefix}*",
    "string",
    "jobs",
    "none while waiting or running; with `keep_inputs` then result_ttl",
    "payload, msgpack",
)
RESULT = Key(
    f"{result_key_prefix}*", "string", "worker, or who ends the job", "result_ttl", "record (records.py)"
)
LEASE = Key(
    f"{in_progress_key_prefix}*",
    "string",
    "worker",
    "lease and an hour",
    "<token of 32 hex digits><start in Unix ms>",
)
ATTEMPTS = Key(
    f"{retry_key_prefix}*",
    "string",
    "jobs",
    "a day",
    "times that it was started; 0 if a worker was lost before",
)
PROGRESS = Key(
    "batchline:progress:*",
    "list",
    "worker",
    "a day after the newest outcome; until the job ends",
    "<inputs with an output> <inputs that failed>, of a named owner <tokens> <microseconds>; then an outcome"
    " each, JSON, as they became known",
)
MEDIA = Key(
    "batchline:media:*",
    "hash",
    "api",
    "none while waiting or running; with `keep_inputs` then result_ttl",
    "number of a medium in the inputs -> the medium (beside.py), a large one in pieces (pieces.py)",
)
UPLOAD = Key("batchline:upload:*", "hash", "api", "ten minutes; until the submit", "media of a job to come")
FILES = Key(
    "batchline:files:*",
    "hash",
    "worker",
    "a day after the newest file; then result_ttl",
    "name -> a file of an output, a large one in pieces (pieces.py)",
)
PARTIALS = Key(
    "batchline:partials:*",
    "string",
    "worker",
    "a day after the newest part; a minute after the job's end",
    "partial answers of a job with `stream`, in order: one line each (partials.py)",
)
ABORT = Key(abort_jobs_ss, "zset", "stock arq clients", "permanent; members a minute", "ids to abort", True)
QUEUE = Key(
    "batchline:queue:*",
    "zset",
    "jobs",
    "permanent",
    "id -> due time, RUNNING + lease end, or PARKED + due time",
    True,
)
WAITING = Key(
    "batchline:waiting:*", "zset", "jobs", "permanent", "<owner>:<model>; id -> due time of its jobs", True
)
TURNS = Key(
    "batchline:turns:*",
    "zset",
    "jobs",
    "permanent",
    "owner with waiting jobs -> virtual start time of its next one",
    True,
)
SHARES = Key(
    "batchline:shares:*",
    "hash",
    "jobs",
    "an hour after the newest claim",
    ":now, or owner -> virtual time up to which it was served",
)
DEADLINES = Key("batchline:deadlines:*", "zset", "jobs", "permanent", "id -> latest start in Unix ms", True)
BYTES = Key("batchline:bytes:*", "string", "jobs", "permanent", "bytes of the unfinished payloads", True)
INPUTS = Key("batchline:inputs:*", "string", "jobs", "permanent", "inputs of the unfinished jobs", True)
OWNED = Key(
    "batchline:owned",
    "hash",
    "jobs",
    "permanent; each field until its job ends",
    "id of an unfinished job of a named owner -> <inputs> <bytes> <owner>",
    True,
)
OWNER = Key(
    "batchline:owner:*",
    "hash",
    "jobs",
    "until the owner has no unfinished job",
    "jobs, inputs, bytes: of the owner's unfinished jobs in this shard",
    True,
)
RATES = Key(
    "batchline:rates:*",
    "hash",
    "api",
    "until the key's limits are whole again",
    "requests, inputs, tokens -> theoretical arrival time, Unix ms (limits.lua)",
)
WAITS = Key(
    "batchline:waits", "hash", "api", "5 s", "API process -> <Unix ms, 8 bytes><owner -> waits, msgpack>"
)
DOORBELL = Key(
    "batchline:doorbell:*", "list", "jobs", "a minute", "a token for each waiting claim, at most 16"
)
IDEMPOTENCY = Key(
    "batchline:idempotency:*", "string", "api", "idempotency_ttl", "<fingerprint of 32 hex digits><job id>"
)
SWEPT = Key("batchline:swept:*", "string", "jobs", "3 s", "that a process swept recently")
RECENT = Key("batchline:recent", "zset", "jobs", "permanent; the newest recent_jobs", "id -> created", True)
RECENT_OF_OWNER = Key(
    "batchline:recent:*",
    "zset",
    "jobs",
    "30 days after the newest; the newest recent_jobs",
    "id -> created, of the jobs of one owner; none for the anonymous one",
)
WATCHED = Key(
    "batchline:watched",
    "hash",
    "api",
    "an hour after the newest registration",
    "id, or `*` for all jobs -> 17 characters for each API process that watches it (notify.lua)",
)
OUTBOX = Key(
    "batchline:outbox", "stream", "who ends the job", "permanent", "endings of jobs with a webhook", True
)
GROUP = Key(
    "batchline:group:*",
    "hash",
    "who ends the job",
    "30 days after the newest ending",
    "state -> ended jobs of the group in this shard",
)
API_KEYS = Key("batchline:keys", "hash", "keys command", "permanent", "key id -> record, JSON; version", True)
API_KEY_USES = Key("batchline:keys:used", "hash", "api", "permanent", "key id -> last use in Unix ms", True)
SHARDS = Key("batchline:shards", "hash", "jobs", "permanent", "number of shards -> Unix ms", True)
HEARTBEAT = Key("batchline:worker:*", "string", "worker", "5 s", "a worker's heartbeat, msgpack")
ROSTER = Key("batchline:workers", "zset", "worker", "a minute", "worker id -> last heartbeat in Unix ms")
HISTORY = Key("batchline:history:*", "list", "jobs", "20 min", "<Unix ms> <sample, msgpack>, the newest 200")
SAMPLED = Key(
    "batchline:sampled:*", "hash", "jobs", "20 min", "at: of the newest sample; counts: that it has seen"
)
SAMPLING = Key("batchline:sampling:*", "string", "jobs", "4.5 s", "that a process adds a sample")

USAGE = Key(
    "batchline:usage:*",
    "hash",
    "who ends the job",
    "90 days after the newest ending",
    "of an owner in one hour (hours since 1970, UTC): <model>:<counter> -> number",
)
USAGE_OWNERS = Key(
    "batchline:usage-owners",
    "zset",
    "who ends the job",
    "90 days after the newest ending; members too",
    "owner -> the hour of its newest ending",
)
USAGE_TOTALS = Key(
    "batchline:usage-totals:*",
    "hash",
    "api, who ends the job",
    "90 days after the newest ending",
    "of an owner in the metrics, or of all others: <model>:<counter> -> number",
)

METERED_OWNERS = Key(
    "batchline:metered-owners",
    "zset",
    "api",
    "90 days after the newest change",
    "owner with counters of its own in the metrics -> since when, Unix ms",
)

ALL = (
    JOB,
    RESULT,
    LEASE,
    ATTEMPTS,
    PROGRESS,
    MEDIA,
    UPLOAD,
    FILES,
    PARTIALS,
    ABORT,
    QUEUE,
    WAITING,
    TURNS,
    SHARES,
    DEADLINES,
    BYTES,
    INPUTS,
    OWNED,
    OWNER,
    RATES,
    WAITS,
    DOORBELL,
    SWEPT,
    IDEMPOTENCY,
    RECENT,
    RECENT_OF_OWNER,
    WATCHED,
    OUTBOX,
    GROUP,
    API_KEYS,
    API_KEY_USES,
    SHARDS,
    HEARTBEAT,
    ROSTER,
    HISTORY,
    SAMPLED,
    SAMPLING,
    USAGE,
    USAGE_OWNERS,
    USAGE_TOTALS,
    METERED_OWNERS,
)


def tag(shard: int, *, clustered: bool) -> str:
    """Returns the hash tag of a shard's keys.

    Shard 0 of a plain server has none: its keys are those of release 0.1, and of stock arq clients.
    """
    return f"{{{shard}}}" if shard or clustered else ""


def queue_name(model: str) -> str:
    """Returns the arq queue of a model, which a stock client passes as `_queue_name`."""
    return QUEUE.of(model)


def model_of(queue: str) -> str:
    """Returns the model of a queue."""
    return queue.removeprefix(QUEUE.of())
