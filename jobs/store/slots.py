"""SlotMap: which primary serves each slot of a cluster, according to the nodes. `cluster.py` uses it.

The map changes in two ways. A node that answers MOVED names the new owner of one slot. A node that fails is
suspected: before the next connection to it the map is asked for again, from any node that answers.
"""

import asyncio
import itertools
import random
from collections.abc import Iterable
from typing import Any

from redis.asyncio import Redis
from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import AuthenticationError, RedisError, ResponseError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from jobs.store.pool import Pool

Node = tuple[str, int]
"""Host and port of a node, as clients reach it."""

Range = tuple[int, int, list[Node | None]]
"""First and last slot, and the nodes that have them: the primary first. None: not known how to reach it."""

ANSWER_TIMEOUT = 1.0
"""Most seconds to wait for a node's answer about the map."""

PATIENCE = 0.1
"""Seconds without an answer after which the next node is asked too."""

NO_CLUSTER = "cluster support disabled"
"""Part of a plain server's answer to CLUSTER commands."""


class NotACluster(RedisConnectionError):
    """The server is not a node of a cluster."""


class SlotMap:
    """The owners of the slots; shared by all connections of a process."""

    def __init__(self, seeds: Iterable[Node], options: dict[str, Any]) -> None:
        """`options` are those of redis-py's pools, for short connections to any node."""
        self._seeds = list(seeds)
        random.shuffle(self._seeds)  # so that the processes do not all ask the same node
        self._options = options
        self._owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        self._nodes: list[Node] = []
        self._suspects: set[Node] = set()
        self._redirects: dict[int, Node] = {}
        self._current: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None
        self._ending: set[asyncio.Task[Any]] = set()
        self.answered: Node | None = None
        """The node that gave the newest answer."""

    def owner(self, slot: int) -> Node | None:
        """Returns the primary of a slot as far as known, without asking."""
        return self._owners[slot]

    def primaries(self) -> list[Node]:
        """Returns the primaries as far as known, without asking."""
        return sorted({owner for owner in self._owners if owner})

    def tags(self) -> dict[Node, str]:
        """Returns a hash tag for each primary whose slot it serves, such as `{17}`."""
        found: dict[Node, str] = {}
        left = set(self.primaries())
        for tag in map("{{{}}}".format, itertools.count()):
            if not left:
                break
            owner = self._owners[key_slot(tag.encode())]
            if owner in left:
                left.remove(owner)
                found[owner] = tag
        return found

    def unassigned(self) -> int:
        """Returns the number of slots without a primary."""
        return self._owners.count(None)

    async def find(self, slot: int) -> Node:
        """Returns the primary of a slot; asks if it is not known or suspected. Raises redis-py's errors."""
        owner = self._owners[slot]
        if owner is None or owner in self._suspects:
            await self.refresh()
            owner = self._owners[slot]
        if owner is None:
            raise RedisConnectionError(f"no primary of the cluster serves slot {slot}")
        return owner

    def moved(self, slot: int, owner: Node) -> None:
        """Records what the former owner answered."""
        self._owners[slot] = self._redirects[slot] = owner

    def suspect(self, node: Node) -> None:
        """Records that a node did not answer, or not as a primary that serves its slots."""
        self._suspects.add(node)

    async def refresh(self) -> None:
        """Asks for the map. Raises redis-py's errors. Concurrent callers share a query.

        The query begins after the call: the answer to an earlier one may be older than what the caller saw.
        """
        if self._next is None:
            self._next = asyncio.create_task(self._run(self._current))
            self._next.add_done_callback(lambda query: query.cancelled() or query.exception())
        await asyncio.shield(self._next)

    async def aclose(self) -> None:
        """Ends a query that is under way."""
        queries = [query for query in (self._current, self._next) if query and not query.done()]
        for query in queries:
            query.cancel()
        await asyncio.gather(*queries, return_exceptions=True)
        await asyncio.gather(*self._ending, return_exceptions=True)
        self._current = self._next = None

    async def _run(self, earlier: asyncio.Task[None] | None) -> None:
        if earlier and not earlier.done():
            await asyncio.wait([earlier])
        self._current, self._next = self._next, None
        suspects = set(self._suspects)
        self._redirects.clear()
        self.answered, ranges = await self._ask_any(suspects)
        owners: list[Node | None] = [None] * REDIS_CLUSTER_HASH_SLOTS
        nodes: dict[Node, None] = {}
        for first, last, served_by in ranges:
            owners[first : last + 1] = [served_by[0]] * (last + 1 - first)
            nodes |= dict.fromkeys(node for node in served_by if node)
        for slot, owner in self._redirects.items():  # received while the query ran
            owners[slot] = owner
        self._owners, self._nodes = owners, list(nodes)
        self._suspects -= suspects

    async def _ask_any(self, suspects: set[Node]) -> tuple[Node, list[Range]]:
        """Returns the first answer and the node that gave it; a node that hangs costs `PATIENCE`."""
        known = dict.fromkeys([*([self.answered] if self.answered else []), *self._nodes, *self._seeds])
        asked: dict[asyncio.Task[list[Range]], Node] = {}
        left = sorted(known, key=suspects.__contains__)
        faults: list[tuple[Node, Exception]] = []
        try:
            while left or asked:
                if left:
                    node = left.pop(0)
                    asked[asyncio.create_task(self._ask(node))] = node
                done, _ = await asyncio.wait(
                    asked, timeout=PATIENCE if left else None, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done:
                    node = asked.pop(task)
                    try:
                        return node, task.result()
                    except (RedisError, OSError) as error:
                        faults.append((node, error))
        finally:
            for task in asked:  # not awaited: closing a TLS connection to a node that hangs takes long
                task.cancel()
                self._ending.add(task)
                task.add_done_callback(self._ending.discard)
        raise _summary(faults)

    async def _ask(self, node: Node) -> list[Range]:
        host, port = node
        try:
            pool = Pool(host=host, port=port, **self._options)
            async with asyncio.timeout(ANSWER_TIMEOUT), Redis.from_pool(pool) as client:
                answer = await client.execute_command("CLUSTER", "SLOTS")  # type: ignore[no-untyped-call]
        except TimeoutError:
            raise RedisTimeoutError(f"no answer within {ANSWER_TIMEOUT:g} s") from None
        if not answer:
            raise RedisConnectionError("the node knows no slots")
        return [(first, last, [endpoint(one, host) for one in servers]) for first, last, *servers in answer]


def endpoint(described: list[Any], asked: str) -> Node | None:
    """Returns where clients reach a node of CLUSTER SLOTS' answer, or None if it does not say.

    A node without an endpoint is reached as the node that answered, on its own port.
    """
    host, port, *more = described
    name = (host or b"").decode()
    if name == "?":  # its host name is preferred but not known
        metadata = more[1] if len(more) > 1 else []
        name = dict(zip(metadata[::2], metadata[1::2], strict=False)).get(b"ip", b"?").decode()
    return None if name == "?" else (name or asked, int(port))


def _summary(faults: list[tuple[Node, Exception]]) -> Exception:
    """Returns the error for a query that no node answered: a refusal says more than a silence."""
    for node, fault in faults:
        if NO_CLUSTER in str(fault):
            return NotACluster(f"{node[0]}:{node[1]} is not a node of a cluster")
        if isinstance(fault, AuthenticationError | ResponseError):
            return fault
    return RedisConnectionError(
        "no node of the cluster answers: "
        + ", ".join(f"{host}:{port} ({fault})" for (host, port), fault in faults)
    )
