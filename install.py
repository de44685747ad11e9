"""Creates the virtual environment that `make` uses, and prints each step with the elapsed time.

    python3 install.py serve                  the packages for running, in .venv
    python3 install.py --torch cpu serve      the same with PyTorch's CPU build, a tenth of the size
    python3 install.py serve dev load         also the packages for the tests

Versions come from constraints.txt. This file uses only the standard library.
"""

import argparse
import os
import queue
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).resolve().parent
CONSTRAINTS = ROOT / "constraints.txt"

LARGE = 10.0
"""Megabytes from which a download gets its own line."""
FEW = 3
"""Most packages that a line names; otherwise it prints their number."""
QUIET = 15.0
"""Seconds without a new step after which a line reports that the last one continues."""
TAIL = 15
"""Last lines of a failed command's output that are printed."""


class Failed(Exception):
    """A step failed; the text is the message to print."""


class Steps:
    """Runs commands and prints their steps with the seconds since the start."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._last = ""

    def say(self, step: str) -> None:
        if step != self._last:
            self._last = step
            self._print(step)

    def run(self, *command: str | Path) -> None:
        """Runs a command. Raises Failed with the end of its output."""
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
        )
        assert process.stdout is not None
        lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        threading.Thread(target=_read, args=(process.stdout, lines), daemon=True).start()
        tail: deque[str] = deque(maxlen=TAIL)
        while (line := self._next(lines)) is not None:
            tail.append(line)
            if step := step_of(line):
                self.say(step)
        if process.wait() != 0:
            raise Failed("\n".join(tail))

    def _next(self, lines: "queue.SimpleQueue[str | None]") -> str | None:
        while True:
            try:
                return lines.get(timeout=QUIET)
            except queue.Empty:
                self._print(f"{self._last}: still at it")

    def _print(self, text: str) -> None:
        print(f"[{time.monotonic() - self._began:4.0f} s] {text}", flush=True)


def step_of(line: str) -> str | None:
    """Converts a line of pip's output to a step; None if the line is not about a slow step."""
    line = line.strip()
    if line.startswith("Collecting "):
        return "Looking for the packages"
    if line.startswith("Installing collected packages: "):
        names = line.partition(": ")[2]
        count = names.count(",") + 1
        return f"Installing {names if count <= FEW else f'{count} packages'}"
    found = re.match(
        r"(Downloading|Using cached) (?:\S*/)?([^\s-]+)-([^\s-]+)-\S+ \(([\d.]+) (MB|GB)\)", line
    )
    if found is None:
        return None
    how, name, version, size, unit = found.groups()
    if unit == "MB" and float(size) < LARGE:
        return "Looking for the packages"
    return f"{how} {name} {version}, {size} {unit}"


def _read(output: IO[str], lines: "queue.SimpleQueue[str | None]") -> None:
    for line in output:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def install(steps: Steps, venv: Path, extras: Sequence[str], torch: str) -> None:
    """Creates the environment and installs this folder, editable, with the extras. Raises Failed."""
    python = venv / "bin" / "python"
    if not python.exists() or not (venv / "bin" / "pip").exists():
        steps.say(f"Making {venv.name} with Python {sys.version.split()[0]}")
        steps.run(sys.executable, "-m", "venv", venv)
    pip = (python, "-m", "pip", "--disable-pip-version-check", "install", "--progress-bar", "off")
    steps.run(*pip, "-c", CONSTRAINTS, "setuptools")
    if index := os.environ.get("TORCH_INDEX_URL"):
        steps.say(f"Looking for PyTorch at {index}")
        steps.run(*pip, "-c", CONSTRAINTS, "--no-deps", "--index-url", index, "torch")
    elif torch == "cpu" and sys.platform != "darwin":  # on macOS every build is a CPU build
        _install_cpu_build(steps, python, pip)
    # without build isolation, so that the pinned setuptools is used and not the newest
    steps.run(*pip, "-c", CONSTRAINTS, "--no-build-isolation", "-e", f".[{','.join(extras)}]")
    packages = list(venv.glob("lib/python*/site-packages/*.dist-info"))
    size = sum(path.lstat().st_size for path in venv.rglob("*"))
    steps.say(f"Ready: {len(packages)} packages, {size / 1e6:,.0f} MB in {venv.name}")


def _install_cpu_build(steps: Steps, python: Path, pip: Sequence[str | Path]) -> None:
    """Installs the build from pip's index if that has it; otherwise from PyTorch's index, which uv knows."""
    version = re.search(r"^torch==(\S+)$", CONSTRAINTS.read_text(encoding="utf-8"), re.MULTILINE)
    assert version is not None
    build = f"torch=={version[1]}+cpu"
    steps.say(f"Looking for {build}")
    try:
        steps.run(*pip, "--no-deps", build)
    except Failed:
        with tempfile.TemporaryDirectory() as folder:
            steps.run(*pip, "-c", CONSTRAINTS, "--target", folder, "uv")
            uv = (Path(folder) / "bin" / "uv", "pip", "install", "--python", python, "--no-deps")
            steps.say(f"Downloading {build} from PyTorch's index")
            try:
                steps.run(*uv, "--torch-backend", "cpu", build.removesuffix("+cpu"))
            except Failed as error:
                raise Failed(
                    f"{error}\nTORCH_INDEX_URL=ADDRESS names another index with this build"
                ) from None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "extras", nargs="*", default=["serve"], help="extras of pyproject.toml (default: serve)"
    )
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv", help="its folder (default: .venv)")
    parser.add_argument(
        "--torch", choices=["", "cpu"], default="", help="a build of PyTorch other than pip's"
    )
    arguments = parser.parse_args(argv)
    try:
        install(Steps(), arguments.venv.absolute(), arguments.extras, arguments.torch)
    except Failed as error:
        print(f"{error}\nbatchline: the installation failed, for the reason above", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
