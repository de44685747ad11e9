"""A real cluster on this machine: server processes that a test may kill, stop and restart.

Slots are moved with `CLUSTER MIGRATESLOTS`, which needs Valkey 9.
"""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

from redis import Redis
from redis.crc import key_slot
from redis.exceptions import RedisError

from tests import valkey
from tests.certificates import Certificates
from tests.ports import free_port

SLOTS = 16384

NODE_TIMEOUT = 5000
"""ms after which a node that does not answer counts as failed, and its replica takes over; as in deploy/.
With less, a stall of the machine is a failover that no test expects, or one comes before a test looks."""

ANSWER = 20.0
"""Seconds to wait for a node's answer at most."""

DEADLINE = 60.0
"""Seconds to wait for the cluster at most."""


def moves_slots() -> bool:
    """Whether the server can move slots atomically."""
    told = subprocess.run([valkey.BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    return told.startswith("Valkey") and int(told.partition("v=")[2].split(".")[0]) >= 9


class Node(valkey.Server):
    """One server of a cluster; `binary` may be another server, for example one built with TLS."""

    def __init__(self, folder: Path, binary: str, **options: str) -> None:
        super().__init__(folder, free_port(), **options)
        self.binary = binary
        self.id = ""
        self.still = False
        """Whether it was stopped by SIGSTOP."""

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def _send(self, command: list[str]) -> None:
        super()._send([self.binary, *command[1:]])


class Cluster:
    """Primaries with as many replicas each as asked; every node has a folder of its own in `folder`.

    `requirepass` is the password of the default user; `options` are each node's configuration. With
    `certificates` the nodes talk TLS to each other and to clients of `url`; our own commands are plain.
    """

    def __init__(
        self,
        folder: Path,
        *,
        primaries: int = 3,
        replicas: int = 1,
        requirepass: str = "",
        binary: str = valkey.BINARY,
        certificates: Certificates | None = None,
        **options: str,
    ) -> None:
        self._password = requirepass
        self._certificates = certificates
        self._primaries, self._replicas = primaries, replicas
        secrets = {"requirepass": requirepass, "masterauth": requirepass} if requirepass else {}
        self.nodes: list[Node] = []
        self._admins: dict[int, Any] = {}
        for i in range(primaries * (1 + replicas)):
            place = folder / f"node{i}"
            place.mkdir(parents=True)
            given = {
                "cluster_enabled": "yes",
                "cluster_port": str(free_port()),
                "cluster_node_timeout": str(NODE_TIMEOUT),
                "cluster_require_full_coverage": "no",
                "repl_diskless_sync_delay": "0",
                **secrets,
                **options,
            }
            if certificates:
                given |= {"tls_cluster": "yes", "tls_replication": "yes"}
                given |= certificates.options(free_port())
            self.nodes.append(Node(place, binary, **given))

    def url(self, credentials: str = "") -> str:
        """The address; `credentials` is `user:password@`, percent-encoded."""
        hosts = ",".join(f"127.0.0.1:{node.options.get('tls-port', node.port)}" for node in self.nodes)
        if self._certificates:
            return f"rediss+cluster://{credentials}{hosts}/?ssl_ca_certs={self._certificates.authority}"
        return f"redis+cluster://{credentials}{hosts}/"

    def start(self) -> None:
        """Starts the servers and forms the cluster; waits until every node knows every other."""
        for node in self.nodes:
            node.start()
        leaders = self.nodes[: self._primaries]
        bounds = [SLOTS * i // self._primaries for i in range(self._primaries + 1)]
        for number, node in enumerate(self.nodes):
            node.id = self.admin(node).execute_command("CLUSTER", "MYID")
            self.admin(node).execute_command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number:
                first = self.nodes[0]
                bus = first.options["cluster-port"]
                self.admin(node).execute_command("CLUSTER", "MEET", "127.0.0.1", first.port, bus)
        for node, (first_slot, end) in zip(leaders, pairwise(bounds), strict=True):
            self.admin(node).execute_command("CLUSTER", "ADDSLOTSRANGE", first_slot, end - 1)
        self.wait(lambda: all(len(self.view(node)) == len(self.nodes) for node in self.nodes))
        for number, node in enumerate(self.nodes[self._primaries :]):
            leader = leaders[number % self._primaries]
            self.admin(node).execute_command("CLUSTER", "REPLICATE", leader.id)
        self.wait(self.healthy)

    def admin(self, node: Node) -> Any:
        """A client of one node, with a password if there is one; answers are decoded."""
        if node.port not in self._admins:
            self._admins[node.port] = Redis(
                port=node.port, password=self._password or None, decode_responses=True, socket_timeout=ANSWER
            )
        return self._admins[node.port]

    def view(self, node: Node) -> Mapping[str, list[str]]:
        """The nodes as one of them sees them: id -> flags, without those that are not met yet."""
        told = self.admin(node).execute_command("CLUSTER NODES")
        seen = {known["node_id"]: known["flags"].split(",") for known in told.values()}
        return {name: flags for name, flags in seen.items() if "handshake" not in flags}

    def follows(self, node: Node, primary: Node) -> bool:
        """Whether a node is a replica of another."""
        told = self.admin(primary).execute_command("CLUSTER NODES").values()
        return any(known["node_id"] == node.id and known["master_id"] == primary.id for known in told)

    def running(self) -> list[Node]:
        """The nodes that answer: neither killed nor stopped."""
        return [
            node for node in self.nodes if node.process and node.process.poll() is None and not node.still
        ]

    def healthy(self) -> bool:
        """Whether the running nodes are linked and agree, all slots are served, and replicas are complete."""
        try:
            for node in self.running():
                state = self.admin(node).execute_command("CLUSTER INFO")
                if state["cluster_state"] != "ok" or state["cluster_slots_ok"] != str(SLOTS):
                    return False
                known = self.admin(node).execute_command("CLUSTER NODES").values()
                ids = {one["node_id"] for one in known if one["connected"]}
                if not all(other.id in ids for other in self.running()):
                    return False
                link = self.admin(node).info("replication")
                if link["role"] == "slave" and link["master_link_status"] != "up":
                    return False
                if link["role"] == "master" and link["connected_slaves"] < len(self.replicas(node)):
                    return False
        except RedisError:
            return False
        return len({tuple(sorted(self._seen_by(node).items())) for node in self.running()}) == 1

    def replicas(self, primary: Node) -> list[Node]:
        """The replicas of a primary that are running."""
        return [node for node in self.running() if self.follows(node, primary)]

    def _seen_by(self, node: Node) -> dict[int, int]:
        """First slot of each range -> port of its primary."""
        answer = self.admin(node).execute_command("CLUSTER", "SLOTS")
        return {first: served_by[0][1] for first, _, *served_by in map(tuple, answer)}

    def primaries(self) -> list[Node]:
        """The primaries that are running and serve slots, as a majority of the running nodes sees it."""
        return [node for node in self.running() if self._votes(node) * 2 > len(self.running())]

    def _votes(self, candidate: Node) -> int:
        return sum(candidate.port in self._seen_by(node).values() for node in self.running())

    def owner(self, tag: str) -> Node:
        """The primary of a hash tag, as the nodes see it that answer."""
        slot = key_slot(tag.encode())
        for node in self.running():
            try:
                answer = self.admin(node).execute_command("CLUSTER", "SLOTS")
            except RedisError:
                continue
            for first, last, primary, *_ in answer:
                if first <= slot <= last:
                    return next(known for known in self.nodes if known.port == primary[1])
        raise AssertionError(f"no node knows the owner of {tag}")

    def tags(self) -> dict[int, str]:
        """A hash tag for each primary, by port."""
        found: dict[int, str] = {}
        for number in range(1000):
            tag = f"{{{number}}}"
            found.setdefault(self.owner(tag).port, tag)
            if len(found) == self._primaries:
                return found
        raise AssertionError("a primary without a tag")

    def kill(self, node: Node) -> None:
        """SIGKILL."""
        node.kill()

    def restart(self, node: Node) -> None:
        """Starts a killed node again and waits until the cluster is complete."""
        node.start()
        self.wait(self.healthy)

    def wait_for_failover(self, lost: Node) -> None:
        """Waits until every running node sees other primaries for all slots."""
        self.wait(lambda: self.healthy() and lost.port not in self._seen_by(self.running()[0]).values())

    @contextmanager
    def without_failover(self) -> Iterator[None]:
        """No replica takes over during the block."""
        self._count_as_failed_after(600_000)
        try:
            yield
        finally:
            self._count_as_failed_after(NODE_TIMEOUT)

    def _count_as_failed_after(self, milliseconds: int) -> None:
        for node in self.running():
            self.admin(node).config_set("cluster-node-timeout", milliseconds)

    @contextmanager
    def standing_still(self, node: Node) -> Iterator[None]:
        """SIGSTOP: the node accepts connections and does not answer."""
        node.signal(signal.SIGSTOP)
        node.still = True
        try:
            yield
        finally:
            node.signal(signal.SIGCONT)
            node.still = False

    def move(self, tag: str, target: Node) -> None:
        """Moves the slot of a tag to another primary, atomically, and waits until it is there."""
        slot, source = key_slot(tag.encode()), self.owner(tag)
        self.admin(source).execute_command(
            "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", target.id
        )
        self.wait(lambda: self.owner(tag).port == target.port)

    def wait(self, condition: Callable[[], object], seconds: float = DEADLINE) -> None:
        """Asks again and again; fails after `seconds`."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"the cluster did not become ready within {seconds} s"
            time.sleep(0.02)

    def stop(self) -> None:
        """Ends all servers; nobody will read their files again."""
        for client in self._admins.values():
            client.close()
        for node in self.nodes:
            if node.process:
                node.kill()


@contextmanager
def running(folder: Path, **options: Any) -> Iterator[Cluster]:
    """A cluster during the block: `Cluster`'s arguments."""
    cluster = Cluster(folder, **options)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
