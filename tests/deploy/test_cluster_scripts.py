"""The scripts that run the Valkey cluster in Kubernetes and compose, on six real servers of this machine.

Each node has a loopback address of its own, which is also its name.
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
import redis

from tests.deploy import manifests
from tests.ports import free_port
from tests.valkey import BINARY

SCRIPTS = manifests.KUBERNETES / "overlays" / "cluster"
CLI = shutil.which("valkey-cli") or shutil.which("redis-cli")
PASSWORD = "a-password"  # noqa: S105
NODES = range(1, 7)

pytestmark = [
    pytest.mark.skipif(CLI is None, reason="the scripts need valkey-cli or redis-cli"),
    pytest.mark.skipif("redis" in Path(BINARY).name, reason="the scripts are for Valkey"),
    pytest.mark.timeout(240),
]


class Cluster:
    """Six nodes on addresses 127.0.X.1 to 127.0.X.6, where X is the network."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.network = 1
        self.port = free_port()
        self.running: dict[int, subprocess.Popen[bytes]] = {}
        programs = folder / "bin"
        programs.mkdir()
        (programs / "valkey-server").symlink_to(BINARY)
        assert CLI
        (programs / "valkey-cli").symlink_to(CLI)
        self.path = f"{programs}:{os.environ['PATH']}"

    def name(self, node: int) -> str:
        return f"127.0.{self.network}.{node}"

    def environment(self) -> dict[str, str]:
        return {
            "PATH": self.path,
            "PORT": str(self.port),
            "VALKEY_PASSWORD": PASSWORD,
            "NODES": " ".join(map(self.name, NODES)),
            "PATIENCE": "60",
        }

    def start(self, node: int) -> None:
        folder = self.folder / str(node)
        folder.mkdir(exist_ok=True)
        own = ["--port", str(self.port), "--dir", str(folder), "--logfile", str(folder / "log")]
        own += ["--bind", self.name(node), "--bind-source-addr", self.name(node)]
        self.running[node] = subprocess.Popen(
            ["/bin/sh", SCRIPTS / "start.sh", SCRIPTS / "valkey.conf", *own],
            env={**self.environment(), "NODE": self.name(node)},
            stderr=subprocess.DEVNULL,
        )

    def stop(self, node: int) -> None:
        process = self.running.pop(node)
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def form(self) -> str:
        done = subprocess.run(
            ["/bin/sh", SCRIPTS / "form.sh"],
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def client(self, node: int) -> "redis.Redis":
        return redis.Redis(self.name(node), self.port, password=PASSWORD, decode_responses=True)

    def members(self, node: int) -> list[dict[str, str]]:
        """The cluster's nodes as one of them knows them; empty while it does not answer."""
        with suppress(redis.RedisError), self.client(node) as client:
            told = client.execute_command("CLUSTER NODES")
            return [{**entry, "address": address} for address, entry in told.items()]
        return []

    def linked(self, node: int) -> int:
        """With how many nodes it is connected at their present addresses, itself included."""
        addresses = {f"{self.name(each)}:{self.port}" for each in NODES}
        return len(
            [each for each in self.members(node) if each["address"] in addresses and each["connected"]]
        )

    def await_links(self, count: int) -> None:
        """Waits until every running node is connected with as many running ones."""
        deadline = time.monotonic() + 60
        while not all(self.linked(node) == count for node in self.running):
            assert time.monotonic() < deadline, {node: self.members(node) for node in self.running}
            time.sleep(0.2)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    found = Cluster(tmp_path)
    try:
        for node in NODES:
            found.start(node)
        yield found
    finally:
        for node in list(found.running):
            found.stop(node)


def test_a_cluster_is_formed_once_and_found_again_after_all_addresses_changed(cluster: Cluster) -> None:
    assert cluster.form().count("slots") == 3
    members = cluster.members(1)
    assert len([each for each in members if "master" in each["flags"]]) == 3
    replicated = {each["master_id"] for each in members if "slave" in each["flags"]}
    assert len(replicated) == 3, "each primary has one replica"
    assert cluster.form() == "cluster of 6 nodes: ok\n", "a second run changes nothing"
    with redis.Redis(cluster.name(1), cluster.port) as client, pytest.raises(redis.AuthenticationError):
        client.ping()

    with (
        cluster.client(1) as client,
        pytest.raises(redis.ResponseError, match=rf"MOVED \d+ {cluster.name(3)}"),
    ):
        client.set("{0}", "kept")
    with cluster.client(3) as client:
        client.set("{0}", "kept")
    for node in NODES:
        cluster.stop(node)
    cluster.network = 2
    for node in NODES:
        cluster.start(node)
    cluster.await_links(6)
    assert cluster.form() == "cluster of 6 nodes: ok\n"
    kept = []
    for node in NODES:
        with suppress(redis.ResponseError), cluster.client(node) as client:  # MOVED, but for the one
            kept.append(client.get("{0}"))
    assert kept == ["kept"]


def test_a_node_that_lost_its_disk_becomes_a_replica_again(cluster: Cluster) -> None:
    cluster.form()
    cluster.stop(1)  # which hands over to its replica first
    cluster.await_links(5)
    shutil.rmtree(cluster.folder / "1")
    cluster.start(1)
    told = cluster.form()
    assert "slots" not in told
    assert f"{cluster.name(1)}: replica of" in told
    with cluster.client(1) as client:
        replication = client.info("replication")
    assert (replication["role"], replication["master_link_status"]) == ("slave", "up")
