"""The engine's child process: it answers, it raises, it dies, it hangs, it ends with its worker."""

import asyncio
import contextlib
import json
import os
import select
import signal
from pathlib import Path

import psutil
import pytest

from jobs.errors import ConfigurationError
from tests.gate import Gate
from tests.waiting import until
from tests.worker.conftest import BatchRaised, exited, poison_spec, run
from worker.engine.protocol import Failure, Ran, Withdrawn
from worker.supervisor.engine import Engine, EngineDied


async def test_a_batch_is_answered_in_order(engine: Engine) -> None:
    ran = await run(engine, ["a", "b"], {"factor": 2.0})
    assert ran.outputs == [
        b'{"text":"A","size":2,"factor":2.0}',
        b'{"text":"B","size":2,"factor":2.0}',
    ]


async def test_a_raise_leaves_the_engine_alive(engine: Engine) -> None:
    pid = engine.pid
    with pytest.raises(BatchRaised, match="ValueError: this text is bad"):
        await run(engine, ["raise"], {})
    assert (await run(engine, ["a"], {})).outputs
    assert engine.pid == pid


async def test_what_an_engine_says_of_an_input_is_a_line_like_any_other(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BATCHLINE_LOG_FORMAT", "json")
    engine = Engine(poison_spec(), None)
    await engine.start()
    try:
        with pytest.raises(BatchRaised):
            await run(engine, ["raise"], {})
    finally:
        await engine.kill()
    [line] = capfd.readouterr().err.splitlines()
    entry = json.loads(line)
    assert (entry["event"], entry["level"], entry["model"]) == (
        "pipeline raised on one input",
        "error",
        engine.spec.name,
    )
    assert "ValueError: this text is bad" in entry["exception"]


async def test_a_crash_says_how(engine: Engine) -> None:
    with pytest.raises(EngineDied, match="SIGSEGV"):
        await run(engine, ["die"], {})
    await engine.restart()
    assert (await run(engine, ["a"], {})).outputs


async def test_a_hang_ends_with_the_engine(engine: Engine) -> None:
    pid = engine.pid
    died = await engine.send(["hang"], {}, seconds=2.0)
    assert isinstance(died, EngineDied)
    assert "within 2 s" in str(died)
    assert died.kind == "engine-timeout"
    assert pid is not None
    assert not psutil.pid_exists(pid)


async def test_a_model_that_cannot_be_loaded_is_a_configuration_error() -> None:
    engine = Engine(poison_spec(pipeline="tests.worker.poison:Missing"), None)
    with pytest.raises(ConfigurationError, match="Missing"):
        await engine.start()
    assert engine.pid is not None
    assert not psutil.pid_exists(engine.pid)


async def test_a_killed_engine_is_noticed_while_idle(engine: Engine) -> None:
    assert engine.pid is not None
    os.kill(engine.pid, signal.SIGKILL)
    assert await exited(engine) == "was ended by SIGKILL"


async def test_the_engine_closes_with_the_workers_end_of_the_socket(engine: Engine) -> None:
    assert engine._connection is not None
    engine._connection.close()
    assert await exited(engine) == "ended with status 0"


async def test_of_two_batches_only_the_one_that_ran_is_blamed(engine: Engine, gate: Gate) -> None:
    running, behind = engine.send([gate.text, "die"], {}), engine.send(["b"], {})
    gate.open()
    died = await running
    assert isinstance(died, EngineDied)
    assert "SIGSEGV" in str(died)
    assert isinstance(await behind, Withdrawn)
    await engine.restart()
    assert (await run(engine, ["b"], {})).outputs


@pytest.mark.parametrize("why", ["cancelled", "hung"])
async def test_a_batch_behind_one_that_is_answered_too_late_is_not_blamed(
    engine: Engine, gate: Gate, why: str
) -> None:
    running, behind = engine.send(["a"], {}), engine.send([gate.text], {})
    assert engine._connection is not None
    transport = engine._connection._transport
    assert transport is not None
    transport.pause_reading()

    async def answered() -> bool:
        return bool(select.select([transport.get_extra_info("socket")], [], [], 0)[0])

    await until(answered)
    if why == "cancelled":
        engine.interrupt("nobody waits for it")
    else:
        engine.hung(60.0)  # as its timer does: one that runs might end before there is an answer
    transport.resume_reading()
    assert isinstance(await running, Ran)
    assert isinstance(await behind, Withdrawn)
    assert not engine.crashed
    await engine.restart()
    assert engine.restart_reasons == {why: 1}


async def test_an_engine_that_is_replaced_while_it_dies_leaves_none_behind(engine: Engine) -> None:
    for _ in range(5):
        assert engine.pid is not None
        os.kill(engine.pid, signal.SIGKILL)
        while engine.connected:  # noqa: ASYNC110 - the moment between this and `dead` is what is tested
            await asyncio.sleep(0)
        await engine.restart("max_requests")
        assert engine.connected
        assert not engine.dead
        assert (await run(engine, ["a"], {})).outputs
    engines = [child for child in psutil.Process().children() if "worker.engine" in child.cmdline()]
    assert [child.pid for child in engines] == [engine.pid]


async def test_a_batch_that_was_not_begun_can_be_withdrawn(engine: Engine, gate: Gate) -> None:
    running, behind = engine.send([gate.text], {}), engine.send(["b"], {})
    engine.withdraw()
    gate.open()
    assert isinstance(await running, Ran)
    assert isinstance(await behind, Withdrawn)
    assert (await run(engine, ["c"], {})).outputs, "only that one"


async def test_a_batch_that_runs_is_not_withdrawn(engine: Engine, gate: Gate) -> None:
    done = await run(engine, ["a"], {})
    engine.withdraw()
    assert done.outputs
    assert (await run(engine, ["b"], {})).outputs


async def test_the_timeout_counts_from_when_a_batch_is_the_running_one(engine: Engine, gate: Gate) -> None:
    loop = asyncio.get_running_loop()
    running, behind = engine.send([gate.text], {}), engine.send(["b"], {})
    sent = engine._pending._timer
    opened = loop.time()
    gate.open()
    await running
    assert sent is not None
    assert sent.cancelled()
    assert (
        engine._pending._timer is None or engine._pending._timer.when() >= opened + engine.spec.batch_timeout
    )
    assert isinstance(await behind, Ran)
    assert engine._pending._timer is None, "an idle engine has all the time it wants"


async def test_an_error_that_quotes_its_input_is_cut(engine: Engine) -> None:
    with pytest.raises(BatchRaised) as caught:
        await run(engine, ["quote " + "x" * 100_000], {})
    assert len(str(caught.value)) <= 500


async def test_outputs_that_are_too_large_stay_in_the_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BATCHLINE_MAX_RESULT_BYTES", "60000")
    engine = Engine(poison_spec(), None)
    await engine.start()
    try:
        ran = await run(engine, ["many", "good"], {})
        with pytest.raises(BatchRaised, match="too large in total"):
            await run(engine, ["x" * 50_000] * 3, {})
    finally:
        await engine.kill()
    large, good = ran.outputs
    assert isinstance(large, Failure)
    assert large.kind == "result-too-large"
    assert isinstance(good, bytes)


def oom_score_adj(pid: int | str | None) -> int:
    return int(Path(f"/proc/{pid}/oom_score_adj").read_text())


async def test_a_machine_without_memory_kills_the_engine_first(engine: Engine) -> None:
    assert oom_score_adj(engine.pid) > oom_score_adj("self")


async def test_no_engine_is_left_behind(engine: Engine) -> None:
    def left(child: psutil.Process) -> bool:
        with contextlib.suppress(psutil.Error):  # it has ended meanwhile
            return child.pid != engine.pid and "worker.engine" in child.cmdline()
        return False

    async def gone() -> bool:
        return not any(map(left, psutil.Process().children(recursive=True)))

    await until(gone)


@pytest.mark.parametrize(("harm", "kind"), [("die", "engine-died"), ("hang", "engine-timeout")])
async def test_the_end_of_an_engine_is_detected_if_its_child_holds_the_socket(harm: str, kind: str) -> None:
    engine = Engine(poison_spec(pipeline="tests.worker.forking:Forking"), None)
    await engine.start()
    ran = await run(engine, ["who?"], {})
    try:
        died = await engine.send([harm], {}, seconds=1.0 if harm == "hang" else None)
        assert isinstance(died, EngineDied)
        assert died.kind == kind
    finally:
        os.kill(int(ran.outputs[0]), signal.SIGKILL)  # type: ignore[arg-type]
        await engine.kill()
