"""Whatever a class does to its engine, no input gets another's answer, and no process is left behind."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.ledger import JobQueue
from tests.processes import ROOT, exists
from tests.waiting import until
from tests.worker.conftest import Serving, poison_spec
from tests.worker.test_batch_worker import ended, results, submit
from worker.engine import protocol
from worker.engine.protocol import Ran
from worker.supervisor.engine import Engine, EngineDied

CLASS = "tests.worker.disorderly:Disorderly"

linux = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")


@asynccontextmanager
async def started(**fields: Any) -> AsyncIterator[Engine]:
    engine = Engine(poison_spec(pipeline=CLASS, parameters={}, **fields), None)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.kill()


async def gone(pids: Iterable[int]) -> None:
    async def none_alive() -> bool:
        return not any(map(exists, pids))

    await until(none_alive)


def children(engine: Engine) -> list[int]:
    assert engine.pid is not None
    return [child.pid for child in psutil.Process(engine.pid).children()]


@pytest.mark.attack(
    "a class forks, and the child raises, returns, leaves or writes to the engine's descriptors",
    held="each input has its own answer or none, the child never answers and dies with its engine",
    tried="79 inputs",
)
@linux
@pytest.mark.parametrize("deed", ["return", "raise", "exit", "other", "libc", "blocked", "garbage", "replay"])
async def test_each_input_has_its_own_answer_or_none(queue: JobQueue, serving: Serving, deed: str) -> None:
    wanted: dict[str, list[str]] = {}
    async with serving(pipeline=CLASS, parameters={}, max_batch_items=4):
        for i in range(40):
            inputs = [f"{deed if i % 10 == 3 else 'keep'} {i}-{j}" for j in range(1 + i % 3)]
            wanted[await submit(queue, inputs)] = inputs
        jobs = await ended(queue, *wanted)
    for job in jobs:
        for text, result in zip(wanted[job.id], results(job), strict=True):
            if text.startswith("keep") or "output" in result:
                assert result == {"output": text}


@linux
@pytest.mark.parametrize("deed", ["garbage", "replay"])
async def test_an_answer_without_a_request_ends_the_engine(deed: str) -> None:
    async with started() as engine:
        answered = await engine.send([f"{deed} a"], {})
        assert isinstance(answered, EngineDied)
        assert "did not match its requests" in str(answered)


@linux
async def test_a_forked_child_leaves_and_never_answers() -> None:
    async with started() as engine:
        for deed in ("return", "raise", "exit", "other"):
            await each_has_its_own_answer(engine, deed)
            await gone(children(engine))


@linux
async def test_a_child_that_native_code_forked_never_answers_and_dies_with_its_engine() -> None:
    """It may wait for ever for the interpreter's lock, which a thread that it does not have was to take."""
    async with started() as engine:
        for deed in ("libc", "blocked"):
            await each_has_its_own_answer(engine, deed)
        left = children(engine)
    await gone(left)


async def each_has_its_own_answer(engine: Engine, deed: str) -> None:
    for i in range(3):
        ran = await engine.send([f"{deed} {i}"], {})
        assert isinstance(ran, Ran)
        assert ran.outputs == [json.dumps(f"{deed} {i}").encode()]


async def test_a_forked_child_has_no_socket_to_write_to() -> None:
    async with started() as engine:
        for i in range(3):
            ran = await engine.send([f"scribble {i}"], {})
            assert isinstance(ran, Ran), ran
            assert ran.outputs == [json.dumps(f"scribble {i}").encode()]


async def test_a_class_that_forks_while_it_is_built_is_one_engine() -> None:
    async with started(options={"fork": True}) as engine:
        ran = await engine.send(["keep"], {})
        assert isinstance(ran, Ran)
        await gone(children(engine))


@linux
@pytest.mark.parametrize("deed", ["leave", "daemon"])
async def test_what_a_class_forked_dies_with_its_engine(deed: str) -> None:
    async with started() as engine:
        ran = await engine.send([f"{deed} {i}" for i in range(5)], {})
        assert isinstance(ran, Ran)
        pids = [json.loads(output) for output in ran.outputs if isinstance(output, bytes)]
        assert all(map(exists, pids))
        assert engine.pid is not None
        psutil.Process(engine.pid).kill()
        await gone(pids)
        await engine.restart()
        again = await engine.send([f"{deed} 9"], {})
        assert isinstance(again, Ran)
        assert isinstance(again.outputs[0], bytes)
        left = json.loads(again.outputs[0])
    await gone([left])


@pytest.mark.parametrize(
    "reply",
    [
        protocol.Ran([b"1"], 1.0, 0.0, None, None),
        protocol.Ran([b"1"] * 3, 1.0, 0.0, None, None),
        protocol.Ran([b"1", protocol.Failure("boom", "x")], 1.0, 0.0, None, None),  # type: ignore[arg-type]
        protocol.LoadFailed("no"),
    ],
)
async def test_an_answer_that_does_not_fit_its_request_ends_the_engine(reply: protocol.Reply) -> None:
    async with started() as engine:
        running, latest = engine.send(["keep a", "keep b"], {}), engine._pending.latest
        assert engine._connection is not None
        assert latest is not None
        fitting = protocol.Ran([b"1", b"2"], 1.0, 0.0, None, None)
        engine._connection.data_received(protocol.encode(latest, reply) + protocol.encode(latest, fitting))
        assert isinstance(await running, EngineDied), "also if one that fits comes right after it"


WORKER = f"""
import asyncio, json
from tests.worker.conftest import poison_spec
from worker.supervisor.engine import Engine
from worker.supervisor.guard import EngineGuard

async def main():
    guard = EngineGuard()
    guard.start()
    engines = [Engine(poison_spec(pipeline={CLASS!r}, parameters={{}}), None, guard) for _ in range(2)]
    for engine in engines:
        await engine.start()
    left = [[await engine.send([word], {{}}) for word in ("stranger", "orphan")] for engine in engines]
    pids = [[int(ran.outputs[0]) for ran in some] for some in left]
    print(json.dumps(pids), flush=True)
    for engine in engines:
        input()
        await engine.kill()
        print("killed", flush=True)
    input()
    guard.stop()

asyncio.run(main())
"""


@linux
def test_what_a_class_started_in_another_session_and_environment_ends_with_its_engine() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", WORKER], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as worker:
        assert worker.stdin is not None
        assert worker.stdout is not None
        pids: list[list[int]] = json.loads(worker.stdout.readline())
        assert all(map(exists, [*pids[0], *pids[1]]))
        for i in range(2):
            worker.stdin.write(b"\n")
            worker.stdin.flush()
            assert worker.stdout.readline() == b"killed\n"
            assert not any(map(exists, pids[i]))
            assert all(map(exists, [pid for others in pids[i + 1 :] for pid in others])), "another engine's"
        worker.communicate(b"\n", timeout=60)
    assert worker.returncode == 0
