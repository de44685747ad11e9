"""The Redis keys of webhooks; docs/architecture.md shows them too. All are in shard 0.

The outbox is a key of the ledger (`keys.OUTBOX`): the script that ends a job writes it, in each shard.
"""

from jobs.ledger.keys import Key

ROOM = "hooks"
"""Where the scripts are."""

HOOKS = Key(
    "batchline:webhooks",
    "hash",
    "api, sender",
    "permanent",
    "id of an endpoint, or `secret:<owner>` -> record, JSON; `version`, random, new at each change",
    True,
)
DELIVERY = Key(
    "batchline:delivery:*",
    "hash",
    "api, sender",
    "until it has ended; then webhook_keep",
    "a delivery: event, target, state, tries",
    True,
)
DUE = Key(
    "batchline:due-deliveries:*",
    "zset",
    "api, sender",
    "permanent",
    "<host>:<port> of the target; id of a delivery -> when it is due, or the end of its lease, Unix ms",
    True,
)
HOSTS = Key(
    "batchline:webhook-hosts", "zset", "api, sender", "permanent", "host -> its earliest due time", True
)
LOG = Key(
    "batchline:deliveries:*",
    "zset",
    "api, sender",
    "webhook_keep after the newest, at least; the newest webhook_log",
    "id of a delivery of one owner -> created, Unix ms",
)
UNDELIVERABLE = Key(
    "batchline:undeliverable:*",
    "zset",
    "sender",
    "webhook_keep after the newest",
    "id of a delivery of one owner that was given up -> when, Unix ms",
)
COUNTS = Key(
    "batchline:webhook-counts",
    "hash",
    "sender",
    "permanent",
    "outcome -> number of deliveries or tries",
    True,
)
MOVING = Key(
    "batchline:webhook-mover", "string", "sender", "2 s", "the sender that moves entries from the outbox"
)
ASKED = Key(
    "batchline:webhook-asked:*",
    "string",
    "api",
    "a minute after the first",
    "tests and repeated deliveries that one owner asked for",
)

ALL = (HOOKS, DELIVERY, DUE, HOSTS, LOG, UNDELIVERABLE, COUNTS, MOVING, ASKED)
