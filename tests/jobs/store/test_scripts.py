"""What the scripts declare: each name is used, given by Python, and all keys of a call are in one slot."""

import re

import pytest
from arq.connections import ArqRedis
from msgspec.structs import replace

from jobs.access.api_key import ApiKey
from jobs.access.key_store import KeyStore
from jobs.ledger import keys, waits
from jobs.ledger.ids import new_id
from jobs.ledger.leasing import Progress
from jobs.ledger.partials import Output
from jobs.monitoring.history import History
from jobs.monitoring.owner_metrics import OwnerTotals
from jobs.monitoring.roster import Roster
from jobs.owners import Limits, Sender
from jobs.settings import Settings
from jobs.store import lua
from jobs.store.lua import Script, script
from tests.jobs.ledger.test_media import LARGE, with_media
from tests.jobs.ledger.test_queue import MODEL, ending, new_job
from tests.jobs.monitored import Sent, monitored
from tests.ledger import WATCHER, JobQueue, heartbeat
from tests.redis_keys import PACKAGES, ROOT

ALL = sorted(
    (".".join(file.parent.parent.relative_to(ROOT).parts), file.stem)
    for package in PACKAGES
    for file in (ROOT / package).rglob("scripts/*.lua")
    if file.read_text(encoding="utf-8").startswith("#!lua")
)
"""The scripts of all rooms that are run, each with its room; the others are only included."""
NAMES = [name for room, name in ALL if room == lua.LEDGER]
"""The queue's."""

NUMBER = 4
TAG = re.compile(r"\{(\d+)\}")


@pytest.mark.parametrize(("room", "name"), ALL)
def test_all_that_a_script_declares_is_used(room: str, name: str) -> None:
    """Except a key that only says in which slot the script runs, if it builds all others from prefixes."""
    text = lua.source(name, room)
    used = set(re.findall(r"\b(?:KEYS|ARGV|EACH)\.\w+", text))
    loaded = Script(name, room)
    assert loaded.keys, "a cluster finds the server by a key"
    declared = {f"ARGV.{arg}" for arg in loaded.arguments} | {f"EACH.{arg}" for arg in loaded.each}
    unused = declared - used
    assert not unused
    unused_keys = [key for key in loaded.keys if f"KEYS.{key}" not in used]
    assert len(unused_keys) <= (len(loaded.keys) == 1)
    assert not re.search(r"\b(KEYS|ARGV)\[\d", text), "positions are written nowhere"


@pytest.mark.parametrize(("room", "name"), ALL)
def test_no_name_is_passed_twice(room: str, name: str) -> None:
    loaded = Script(name, room)
    for names in (loaded.keys, loaded.arguments, loaded.each):
        assert len(names) == len(set(names))


@pytest.mark.parametrize("use", ["KEYS.queu", "ARGV.leases", "EACH.id"])
def test_a_name_that_is_not_declared_is_refused(monkeypatch: pytest.MonkeyPatch, use: str) -> None:
    text = f"#!lua\n--@key queue\n--@arg lease  ms\n--@each token\nreturn redis.call('GET', {use})"
    monkeypatch.setattr(lua, "source", lambda name, room: text)
    with pytest.raises(ValueError, match=rf"odd\.lua uses {re.escape(use)}, which it does not declare"):
        Script("odd")


def test_a_name_that_is_not_given_is_refused() -> None:
    given = dict.fromkeys((*script("renew").keys, *script("renew").arguments), "x")
    assert script("renew").parameters(given)[0] == len(script("renew").keys)
    for missing in given:
        with pytest.raises(KeyError, match=missing):
            script("renew").parameters({name: "x" for name in given if name != missing})


def test_names_stand_for_positions(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (
        "--@key one two  a comment\n--@arg three\n--@each four five\n"
        "for at = EACH.first, #ARGV, EACH.size do f(KEYS.two, ARGV.three, EACH.five) end"
    )
    monkeypatch.setattr(lua, "source", lambda name, room: text)
    made = Script("odd")
    assert made.text == "for at = 2, #ARGV, 2 do f(KEYS[2], ARGV[1], ARGV[at + 1]) end"
    assert made.parameters({"one": 1, "two": 2, "three": 3}, [4, 5, 6, 7]) == [2, 1, 2, 3, 4, 5, 6, 7]


async def live(queue: JobQueue) -> None:
    """All that is done with jobs, in each shard."""
    for number in range(NUMBER):
        ids = []
        for i in range(6):
            new = new_job(f"{number} {i}", expires_in=600.0)
            new = replace(new, sender=Sender("alice", limits=Limits(queued_jobs=9))) if i % 2 else new
            ids.append((await queue.submit(new, job_id=new_id(number), watcher=WATCHER))[0].id)
        for job_id in ids:
            await queue.read(job_id, watcher=WATCHER)
        await queue.submit(with_media(LARGE), job_id=new_id(number))
        claimed, _ = await queue.claim(MODEL, 6)
        await queue.start(claimed)
        await queue.store([(claimed[0], "0-0.png", b"x")])
        await queue.renew(MODEL, claimed)
        noted = [Progress(job.id, job.token, 0, 1, 0, [b'{"index":0,"output":1}']) for job in claimed]
        await queue.note(noted)
        await queue.append(claimed[0], 0, Output(0, "x", 1))
        await queue.outcomes(claimed[0].id, 0)
        await queue.release(MODEL, [(claimed[0], 2**41)])
        await queue.finish(MODEL, [ending(job) for job in claimed[1:3]])
        await queue.cancel(claimed[3].id)
        await queue.lapse(claimed[4].id)
        await queue.redis.zadd(await queue.beside(keys.ABORT, ids[-1]), {ids[-1]: 2**45})
        await queue.sweep(MODEL)
        for job_id in ids:
            await queue.read(job_id)
            await queue.inputs_of(job_id)
        await queue.submit(new_job(), idempotency_key=f"{number}")
        await queue.depth()
        await queue.recent(5)
        await queue.redis.delete(*queue.everywhere(keys.QUEUE), *queue.everywhere(keys.DEADLINES))
    roster = Roster(queue.shards.first)
    await roster.write(heartbeat())
    await roster.read()
    history = History(queue.shards)
    await history.record()
    await history.read()
    await OwnerTotals(queue.shards).read()
    await waits.exchange(queue.shards.first, WATCHER, {"alice": 1})
    await KeyStore(queue.shards.first).create(ApiKey(id="", owner="alice", digest=""))


async def test_a_call_of_a_script_stays_in_its_shard(redis: ArqRedis, settings: Settings) -> None:
    """It declares a key, and all keys that it uses carry the tag of that key; the first shard's have none."""
    queue = JobQueue(redis, settings.model_copy(update={"shards": NUMBER}), [MODEL])
    async with monitored(redis) as sent:
        await live(queue)
    await redis.flushdb()
    runs = [each for each in sent if each.name in ("EVAL", "EVALSHA")]
    tags = set()
    for run in runs:
        assert run.keys
        found = {_tag(key) for key in (*run.keys, *_touched(run))}
        assert len(found) == 1, run
        tags |= found
    assert tags == {"", "1", "2", "3"}
    assert [name for name in NAMES if not any(run.runs(script(name)) for run in runs)] == [], "all were seen"


def _touched(run: Sent) -> list[str]:
    """The keys of the commands that a script ran; a channel is no key."""
    commands = [(name.upper(), rest) for name, *rest in run.within]
    several = [
        rest if name in ("DEL", "EXISTS") else rest[:1] for name, rest in commands if name != "PUBLISH"
    ]
    return [key for some in several for key in some if key.startswith(("arq:", "batchline:"))]


def _tag(key: str) -> str:
    found = TAG.search(key)
    return found[1] if found else ""
