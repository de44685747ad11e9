"""`install.py`: the lines that it prints while pip works, and what it says when pip fails."""

import subprocess
import sys
from pathlib import Path

import pytest

import install
from tests.environments import clean_environment
from tests.processes import ROOT


@pytest.mark.parametrize(
    ("line", "step"),
    [
        ("Collecting torch (from batchline==0.1.0)", "Looking for the packages"),
        (
            "  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (888.1 MB)",
            "Downloading torch 2.13.0, 888.1 MB",
        ),
        (
            "  Downloading http://mirror/a/b/torch-2.13.0-cp311-cp311-linux_x86_64.whl (1.2 GB)",
            "Downloading torch 2.13.0, 1.2 GB",
        ),
        (
            "  Using cached nvidia_cublas-13.1-py3-none-manylinux_2_27_x86_64.whl (423.1 MB)",
            "Using cached nvidia_cublas 13.1, 423.1 MB",
        ),
        ("  Downloading numpy-2.5.0-cp311-cp311-linux_x86_64.whl (9.9 MB)", "Looking for the packages"),
        ("  Downloading torch-2.13.0-py3-none-any.whl.metadata (30 kB)", None),
        ("Installing collected packages: a, b, c, d", "Installing 4 packages"),
        ("Installing collected packages: torch", "Installing torch"),
        ("Requirement already satisfied: a in x", None),
        ("", None),
    ],
)
def test_what_takes_time_is_a_step(line: str, step: str | None) -> None:
    assert install.step_of(line) == step


def test_a_step_that_lasts_is_said_again(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(install, "QUIET", 0.01)
    said, seen = [], tmp_path / "seen"

    def note(line: str, **_: object) -> None:
        said.append(line.partition("] ")[2])
        if len(said) == 3:
            seen.touch()

    monkeypatch.setattr("builtins.print", note)
    steps = install.Steps()
    steps.say("Waiting")
    waits = f"import pathlib, time\nwhile not pathlib.Path({str(seen)!r}).exists(): time.sleep(0.01)"
    steps.run(sys.executable, "-c", waits)
    assert said[:3] == ["Waiting", "Waiting: still at it", "Waiting: still at it"]


def test_a_command_that_fails_is_shown_from_its_end() -> None:
    program = "print('\\n'.join(map(str, range(100)))); raise SystemExit(1)"
    with pytest.raises(install.Failed) as caught:
        install.Steps().run(sys.executable, "-c", program)
    assert str(caught.value).splitlines()[-2:] == ["98", "99"]
    assert len(str(caught.value).splitlines()) == install.TAIL


def test_an_installation_that_fails_ends_with_a_sentence(tmp_path: Path) -> None:
    alone = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), "PIP_CONFIG_FILE": "/dev/null"}
    done = subprocess.run(
        [sys.executable, str(ROOT / "install.py"), "--venv", str(tmp_path / "venv"), "serve"],
        env=clean_environment() | alone,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "ERROR: Cannot install setuptools" in done.stderr
    assert done.stderr.endswith("batchline: the installation failed, for the reason above\n")
