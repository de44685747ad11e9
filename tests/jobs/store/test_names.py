"""Host names: a name whose lookup hangs delays neither other names nor the end of the process."""

import asyncio
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobs.settings import Settings
from jobs.store import names
from jobs.store.names import Names
from jobs.store.store import open_store
from tests import valkey
from tests.cluster import nodes

UNKNOWN = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
NO_ANSWER = socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")


class Answers:
    """Replaces socket.getaddrinfo for `*.test`: `hosts` have an answer each, lookups in `slow` hang."""

    def __init__(self) -> None:
        self._real = socket.getaddrinfo
        self.hosts: dict[str, list[str] | OSError] = {}
        self.slow: set[str] = set()
        self.asked: list[str] = []
        self.end = threading.Event()
        """Ends the lookups that hang."""

    def __call__(self, host: str, *arguments: Any, **options: Any) -> list[Any]:
        if not host.endswith(".test"):
            return self._real(host, *arguments, **options)
        self.asked.append(host)
        if host in self.slow:
            self.end.wait()
        found = self.hosts[host]
        if isinstance(found, OSError):
            raise found
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 0)) for address in found]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Iterator[Answers]:
    fake = Answers()
    monkeypatch.setattr(socket, "getaddrinfo", fake)
    monkeypatch.setattr(names, "names", Names())
    yield fake
    fake.end.set()


@pytest.fixture
def always_looked_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is used for longer than its lookup, unless the next lookup fails."""
    monkeypatch.setattr(names, "LIFETIME", 0.0)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "fe80::1%1"])
async def test_an_address_is_not_looked_up(answers: Answers, address: str) -> None:
    assert await Names().addresses(address) == [address]
    assert answers.asked == []


async def test_a_host_has_the_addresses_of_both_families() -> None:
    found = await Names().addresses("localhost")
    assert "127.0.0.1" in found
    assert set(found) <= {"127.0.0.1", "::1"}


async def test_callers_share_a_lookup_and_its_answer(answers: Answers) -> None:
    answers.hosts["one.test"] = ["10.0.0.1"]
    answers.slow.add("one.test")
    known = Names()
    callers = [asyncio.create_task(known.addresses("one.test")) for _ in range(20)]
    await asyncio.sleep(0)
    answers.end.set()
    assert await asyncio.gather(*callers) == [["10.0.0.1"]] * 20
    assert await known.addresses("one.test") == ["10.0.0.1"]
    assert answers.asked == ["one.test"]


async def test_nobody_waits_for_a_slow_lookup_and_others_are_found(answers: Answers) -> None:
    answers.hosts |= {"slow.test": ["10.0.0.1"], "one.test": ["10.0.0.2"]}
    answers.slow.add("slow.test")
    known = Names()
    waiting = [asyncio.create_task(known.addresses("slow.test")) for _ in range(50)]
    await asyncio.sleep(0)
    assert await known.addresses("one.test") == ["10.0.0.2"]
    for result in await asyncio.gather(*waiting, return_exceptions=True):
        assert isinstance(result, OSError)
        assert "not resolved within 1 s" in str(result)
    with pytest.raises(OSError, match="not resolved"):  # the same lookup
        await known.addresses("slow.test")
    assert answers.asked == ["slow.test", "one.test"]


async def test_a_caller_who_gives_up_disturbs_nobody(answers: Answers) -> None:
    answers.hosts["one.test"] = ["10.0.0.1"]
    answers.slow.add("one.test")
    known = Names()
    first, second = (asyncio.create_task(known.addresses("one.test")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    answers.end.set()
    assert await second == ["10.0.0.1"]


@pytest.mark.parametrize("wrong", ["a..b", "a" * 64])
async def test_what_is_no_host_name_is_an_oserror(wrong: str) -> None:
    with pytest.raises(OSError, match=r"not a host name|not known"):
        await Names().addresses(wrong)


@pytest.mark.usefixtures("always_looked_up")
async def test_a_name_may_get_another_address(answers: Answers) -> None:
    known = Names()
    for address in ("10.0.0.1", "10.0.0.2"):
        answers.hosts["one.test"] = [address]
        assert await known.addresses("one.test") == [address]


@pytest.mark.usefixtures("always_looked_up")
async def test_an_earlier_address_is_used_while_there_is_no_answer(
    answers: Answers, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers.hosts["one.test"] = ["10.0.0.1"]
    known = Names()
    await known.addresses("one.test")
    answers.hosts["one.test"] = NO_ANSWER
    assert await known.addresses("one.test") == ["10.0.0.1"]
    answers.slow.add("one.test")
    assert await known.addresses("one.test") == ["10.0.0.1"]
    monkeypatch.setattr(names, "STALE_LIFETIME", 0.0)
    with pytest.raises(OSError, match="not resolved"):
        await known.addresses("one.test")


@pytest.mark.usefixtures("always_looked_up")
async def test_a_name_that_is_gone_has_no_address(answers: Answers) -> None:
    answers.hosts["one.test"] = ["10.0.0.1"]
    known = Names()
    await known.addresses("one.test")
    answers.hosts["one.test"] = UNKNOWN
    for _ in range(2):
        with pytest.raises(OSError, match="not known"):
            await known.addresses("one.test")


async def test_each_address_of_a_host_is_tried(answers: Answers, tmp_path: Path) -> None:
    answers.hosts["two.test"] = ["127.0.0.9", "127.0.0.1"]
    with valkey.running(tmp_path) as server:
        store = open_store(Settings(redis_url=f"redis://two.test:{server.port}/0"))
        assert await store.events.ping()
        await store.aclose()


@pytest.mark.usefixtures("always_looked_up")
async def test_live_nodes_are_reached_while_the_name_of_a_dead_one_hangs(
    answers: Answers, tmp_path: Path
) -> None:
    with nodes.running(tmp_path, cluster_preferred_endpoint_type="hostname") as cluster:
        hosts = {node.port: f"node-{number}.test" for number, node in enumerate(cluster.nodes)}
        answers.hosts = {host: ["127.0.0.1"] for host in hosts.values()}
        for node in cluster.nodes:
            cluster.admin(node).config_set("cluster-announce-hostname", hosts[node.port])

        def known() -> bool:
            views = [str(cluster.admin(node).execute_command("CLUSTER", "SLOTS")) for node in cluster.nodes]
            primaries = [hosts[node.port] for node in cluster.primaries()]
            return all(name in view for name in primaries for view in views)

        await asyncio.to_thread(cluster.wait, known)
        seeds = ",".join(f"{host}:{port}" for port, host in hosts.items())
        store = open_store(Settings(redis_url=f"redis+cluster://{seeds}/"))
        tags = cluster.tags()
        for tag in tags.values():
            await store.client(tag).set(f"key:{tag}", "value")
        lost = cluster.owner(tags[next(iter(tags))])
        cluster.kill(lost)
        answers.slow.add(hosts[lost.port])
        others = [tag for port, tag in tags.items() if port != lost.port]

        async def ask() -> None:
            await store.client(tags[lost.port]).get(f"key:{tags[lost.port]}")

        hanging = [asyncio.create_task(ask()) for _ in range(40)]
        async with asyncio.timeout(30):
            for tag in others:
                fresh = open_store(Settings(redis_url=f"redis+cluster://{seeds}/"))
                await asyncio.gather(*(fresh.client(tag).get(f"key:{tag}") for _ in range(40)))
                await fresh.aclose()
        await asyncio.gather(*hanging, return_exceptions=True)
        await asyncio.to_thread(cluster.wait_for_failover, lost)
        assert await store.client(tags[lost.port]).ping()
        await store.aclose()


SERVES = """
import asyncio, contextlib, signal, socket, sys, time

def hang(*arguments, **options):
    print("asked", flush=True)
    time.sleep(600)

socket.getaddrinfo = hang

from jobs.settings import Settings
from jobs.store.store import open_store

async def main():
    stopped = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stopped.set)
    store = open_store(Settings(redis_url=sys.argv[1]))

    async def use():
        while True:
            with contextlib.suppress(Exception):
                await store.client("{1}").ping()

    users = [asyncio.create_task(use()) for _ in range(20)]
    await stopped.wait()
    for user in users:
        user.cancel()
    await asyncio.wait(users, timeout=10)
    await store.aclose()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    "address", ["redis://slow.test/0", "redis+sentinel://slow.test/queue", "redis+cluster://slow.test/"]
)
def test_a_process_ends_while_a_lookup_hangs(address: str) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SERVES, address],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
    ) as process:
        try:
            assert process.stdout
            assert process.stdout.readline() == "asked\n"
            process.send_signal(signal.SIGTERM)
            _, errors = process.communicate(timeout=60)
        finally:
            process.kill()
    assert (process.returncode, errors) == (0, "")
