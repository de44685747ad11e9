"""The watchdog ends what its starter leaves behind, also what has left its process group."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from jobs.process.watchdog import MARK, Watchdog, end, new_mark
from jobs.schema import NewJob
from tests.faults import stack
from tests.processes import ROOT, exists
from tests.waiting import until

SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait(10)


def sleeper(mark: str, started: list[subprocess.Popen[bytes]]) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(SLEEP, env={**os.environ, MARK: mark}, start_new_session=True)
    started.append(process)
    return process


def test_what_has_the_mark_is_ended_and_nothing_else(processes: list[subprocess.Popen[bytes]]) -> None:
    mark = new_mark()
    leader, other_group = sleeper(mark, processes), sleeper(mark, processes)
    stranger = sleeper(new_mark(), processes)
    end(leader.pid, mark)
    assert leader.wait(10) == -signal.SIGKILL
    if sys.platform == "linux":
        assert other_group.wait(10) == -signal.SIGKILL
    assert stranger.poll() is None


def test_a_starter_that_is_killed_leaves_nothing(processes: list[subprocess.Popen[bytes]]) -> None:
    mark = new_mark()
    child = sleeper(mark, processes)
    starter = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import sys, time; from jobs.process.watchdog import Watchdog;"
            "w = Watchdog(grace=0.0); w.start();"
            f"w.add({child.pid}, {mark!r}); print('ready', flush=True); time.sleep(600)",
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
    )
    processes.append(starter)
    assert starter.stdout is not None
    assert starter.stdout.readline() == b"ready\n"
    starter.kill()
    assert child.wait(30) == -signal.SIGKILL


def test_what_was_removed_is_left_alone(processes: list[subprocess.Popen[bytes]]) -> None:
    child = sleeper("", processes)
    watchdog = Watchdog(grace=0.0)
    watchdog.start()
    watchdog.add(child.pid)
    watchdog.remove(child.pid)
    watchdog.stop()
    assert psutil.Process(child.pid).is_running()
    assert child.poll() is None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_worker_that_is_killed_leaves_nothing_that_its_class_forked(tmp_path: Path) -> None:
    async with stack.running(
        tmp_path, apis=0, model={"pipeline": "tests.worker.disorderly:Disorderly", "options": {}}
    ) as run:
        job, _ = await run.queue.submit(NewJob(stack.MODEL, ["leave", "daemon"], 2, {}, "normal", None))

        async def ended() -> bool:
            return (await run.queue.read(job.id)).status.terminal

        await until(ended)
        results = json.loads(bytes((await run.queue.read(job.id)).results or b"null"))
        forked = [result["output"] for result in results]
        assert all(map(psutil.pid_exists, forked))
        run.workers[0].kill()

        async def gone() -> bool:
            return not any(map(exists, forked))

        await until(gone)
