"""The engine takes as many threads as it has cores, by every account of what it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT
from worker.engine import threads


@pytest.fixture
def four_cpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3}, raising=False)


def files(system: Path, **contents: str) -> Path:
    """A root folder whose files have these paths, `__` for each slash."""
    for name, text in contents.items():
        path = system / name.replace("__", "/").replace("_max", ".max").replace("cfs_", "cpu.cfs_")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return system


@pytest.mark.usefixtures("four_cpus")
def test_the_cores_that_the_scheduler_allows(tmp_path: Path) -> None:
    assert threads.cores(tmp_path) == 4


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize("name", ["core_cpus_list", "thread_siblings_list"])
def test_hyperthreads_of_one_core_count_once(tmp_path: Path, name: str) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        files(tmp_path, **{f"sys__devices__system__cpu__cpu{cpu}__topology__{name}": siblings})
    assert threads.cores(tmp_path) == 2


@pytest.mark.usefixtures("four_cpus")
@pytest.mark.parametrize(
    ("group", "quota", "expected"),
    [
        ("0::/", {"sys__fs__cgroup__cpu_max": "150000 100000"}, 2),
        ("0::/", {"sys__fs__cgroup__cpu_max": "max 100000"}, 4),
        ("0::/", {"sys__fs__cgroup__cpu_max": "10000 100000"}, 1),
        ("0::/a/b", {"sys__fs__cgroup__a__cpu_max": "300000 100000"}, 3),
        ("0::/on/the/host", {"sys__fs__cgroup__cpu_max": "200000 100000"}, 2),
        (
            "4:cpu,cpuacct:/a\n1:memory:/b\n0::/",
            {
                "sys__fs__cgroup__cpu,cpuacct__a__cfs_quota_us": "250000",
                "sys__fs__cgroup__cpu,cpuacct__a__cfs_period_us": "100000",
            },
            3,
        ),
        (
            "4:cpu:/",
            {"sys__fs__cgroup__cpu__cfs_quota_us": "-1", "sys__fs__cgroup__cpu__cfs_period_us": "100000"},
            4,
        ),
    ],
)
def test_a_quota(tmp_path: Path, group: str, quota: dict[str, str], expected: int) -> None:
    files(tmp_path, proc__self__cgroup=group, **quota)
    assert threads.cores(tmp_path) == expected


ASK = (
    "import os, torch; from worker.engine import threads;"
    "count = threads.set_count({given}); threads.set_torch_threads(count);"
    "print(count, torch.get_num_threads(), torch.get_num_interop_threads(), os.environ['OMP_WAIT_POLICY'])"
)


@pytest.mark.parametrize(
    ("given", "environment", "expected"),
    [
        ("3", {"OMP_NUM_THREADS": "5"}, "3 3 1 PASSIVE"),
        ("None", {"OMP_NUM_THREADS": "5"}, "5 5 1 PASSIVE"),
        ("None", {"OMP_NUM_THREADS": "4,3"}, f"{threads.cores()} {threads.cores()} 1 PASSIVE"),
        ("2", {"OMP_WAIT_POLICY": "ACTIVE"}, "2 2 1 ACTIVE"),
    ],
)
def test_the_operator_has_the_last_word(given: str, environment: dict[str, str], expected: str) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "GOMP_"))}
    done = subprocess.run(
        [sys.executable, "-c", ASK.format(given=given)],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == expected.split()


HELPERS = """
import threading
from worker.engine import threads
threads.set_count(2)
import torch
threads.set_torch_threads(2)
counts = []
def ask():
    threads.use_one_thread()
    torch.ones(1000, 1000).sum()
    counts.append(torch.get_num_threads())
thread = threading.Thread(target=ask)
thread.start()
thread.join()
print(*counts, torch.get_num_threads())
"""


def test_a_thread_may_do_without_helpers() -> None:
    command = [sys.executable, "-c", HELPERS]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["1", "2"]
