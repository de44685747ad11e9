"""Whatever a class does to its engine, no input gets another's answer, and no process is left behind."""

import json
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

import psutil
import pytest

from tests.ledger import JobQueue
from tests.processes import exists
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
async def test_a_child_that_is_blocked_never_answers_and_dies_with_its_engine() -> None:
    async with started() as engine:
        for i in range(3):
            ran = await engine.send([f"blocked {i}"], {})
            assert isinstance(ran, Ran)
            assert ran.outputs == [json.dumps(f"blocked {i}").encode()]
        left = children(engine)
    await gone(left)


@linux
@pytest.mark.parametrize("deed", ["garbage", "replay"])
async def test_an_answer_that_nobody_asked_for_ends_the_engine(deed: str) -> None:
    async with started() as engine:
        answered = await engine.send([f"{deed} a"], {})
        assert isinstance(answered, EngineDied)
        assert "out of step" in str(answered)


@linux
@pytest.mark.parametrize("deed", ["return", "raise", "exit", "other"])
async def test_a_forked_child_leaves_and_never_answers(deed: str) -> None:
    async with started() as engine:
        await each_has_its_own_answer(engine, deed)
        await gone(children(engine))


@linux
@pytest.mark.parametrize("deed", ["libc", "blocked"])
async def test_a_child_that_native_code_forked_never_answers_and_dies_with_its_engine(deed: str) -> None:
    """It may wait for ever for the interpreter's lock, which a thread that it does not have was to take."""
    async with started() as engine:
        await each_has_its_own_answer(engine, deed)
        left = children(engine)
    await gone(left)


async def each_has_its_own_answer(engine: Engine, deed: str) -> None:
    for i in range(3):
        ran = await engine.send([f"{deed} {i}"], {})
        assert isinstance(ran, Ran)
        assert ran.outputs == [json.dumps(f"{deed} {i}").encode()]


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
