"""Batches: the client's side: create, retrieve, list, cancel."""

from typing import Any

import msgspec

from bulk.batches import figures, keys, scripted
from bulk.batches.batch import Asked, Batch
from bulk.batches.figures import Figures
from bulk.batches.scripted import ROOM, Scripts
from jobs.errors import BatchNotFound, InvalidRequest, LimitExceeded
from jobs.ledger import ownership
from jobs.ledger.ids import new_id
from jobs.ledger.shard import Shard
from jobs.store import durability, lua

LONGEST_WINDOW = 7 * 86_400
"""Seconds."""

RETRY_FULL = 60
"""Seconds after which a client that has too many unfinished batches should try again."""


class Batches:
    """The batches of all owners. All of them are in the first shard.

    `sees` is the owner whose batches the caller may read and end, or None for all; another owner's batch is
    answered as one that does not exist. Raises QueueUnavailable.
    """

    def __init__(self, shard: Shard) -> None:
        self._scripts = Scripts(shard)
        self._shard = shard
        self._settings = shard.settings

    async def create(self, asked: Asked) -> Batch:
        """Accepts a batch, as durably as BATCHLINE_DURABLE_SUBMIT requires. Raises LimitExceeded."""
        batch_id = f"batch_{new_id().replace('-', '')}"
        owner = asked.sender.owner
        most = self._settings.max_open_batches
        given = self._scripts.given(batch_id, owner) | {
            "listed": self._list(owner),
            "listed_all": self._list(None),
            "asked": msgspec.json.encode(asked),
            "window": asked.window * 1000,
            "most": most,
            "list_lifetime": int(1000 * (self._settings.batch_ttl + LONGEST_WINDOW)),
        }
        script = lua.script("create", ROOM)
        parameters = self._shard.parameters(script, **given)
        level = self._settings.durable_submit
        answer, *record = await self._shard.call(
            lambda: durability.run(self._shard.redis, level, script, parameters)
        )
        if answer == b"full":
            raise LimitExceeded(
                f"there are {most:,} unfinished batches already (BATCHLINE_MAX_OPEN_BATCHES);"
                " wait for one to end or cancel one",
                policy="open-batches",
                retry_after=RETRY_FULL,
            )
        return scripted.batch(batch_id, record[0])

    async def retrieve(self, batch_id: str, *, sees: str | None) -> Batch:
        """Returns a batch as it is now. Raises BatchNotFound."""
        key = self._shard.key(keys.BATCH, batch_id)
        record: Any = await self._scripts.run("read", batch=key)
        if record:
            found = scripted.batch(batch_id, record)
            if sees is None or found.owner == sees:
                return found
        raise _missing(batch_id)

    async def page(
        self, limit: int, after: str | None = None, *, sees: str | None
    ) -> tuple[list[Batch], bool]:
        """Returns the newest batches, or those after `after`, and whether there are more.

        Raises InvalidRequest if `after` is not the id of a batch in the caller's list.
        """
        found = await self._scripts.run(
            "list",
            listed=self._list(sees),
            batches=self._shard.key(keys.BATCH),
            after=after or "",
            limit=limit + 1,
        )
        if found is None:
            raise InvalidRequest(f"after: there is no batch {after}", pointer="/after")
        page = [scripted.batch(batch_id.decode(), record) for batch_id, record in found[:limit]]
        return page, len(found) > limit

    async def cancel(self, batch_id: str, *, sees: str | None) -> Batch:
        """Requests the end of a batch; returns it as it is then.

        A batch that is finalizing has an outcome for every line, so it is not changed. Raises BatchNotFound;
        InvalidRequest if it has ended.
        """
        # the owner is in the record, which the script reads
        answer = await self._scripts.run(
            "cancel", **self._scripts.given(batch_id, ""), sees=ownership.argument(sees)
        )
        match answer:
            case [b"ended", status]:
                raise InvalidRequest(
                    f"batch {batch_id} has ended as {status.decode()}; it cannot be cancelled"
                )
            case [record]:
                return scripted.batch(batch_id, record)
        raise _missing(batch_id)

    async def figures(self) -> Figures:
        """Returns what the metrics show."""
        return await figures.read(self._scripts)

    def _list(self, sees: str | None) -> str:
        return self._shard.key(keys.LIST, ownership.argument(sees))


def _missing(batch_id: str) -> BatchNotFound:
    return BatchNotFound(f"there is no batch {batch_id}")
