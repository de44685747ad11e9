"""Creates each peer's virtual environment from its pinned requirements, again when they change."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

from bench.errors import BenchError
from bench.peers.peer import Peer

INSTALL_TIMEOUT = 900.0
"""Most seconds to create one."""

ALWAYS = ("torch", "transformers")

ADDITIONS = "additions-"
"""Start of the name of a file of requirements that are added to Batchline's environment."""

PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"

VERSIONS = """\
import importlib.metadata, json, platform, sys
versions = {"python": platform.python_version()}
print(json.dumps(versions | {name: importlib.metadata.version(name) for name in sys.argv[1:]}))
"""


def python_of(peer: Peer, folder: Path) -> Path:
    """Returns the peer's interpreter; creates its environment in `folder` if needed. Raises BenchError."""
    if peer.requirements is None:
        return Path(sys.executable)
    return environment(peer.name, peer.requirements, folder)


def environment(name: str, requirements: Path, folder: Path) -> Path:
    """Returns the interpreter of an environment in `folder`; creates it if needed. Raises BenchError.

    `additions-...` are installed as they are, and everything else is imported from Batchline's environment:
    torch alone is about a gigabyte.
    """
    home = folder / name
    python, stamp = home / "bin" / "python", home / ".installed"
    wanted = fingerprint(requirements)
    if not (stamp.exists() and stamp.read_text(encoding="utf-8") == wanted):
        _make(home, python, requirements)
        stamp.write_text(wanted, encoding="utf-8")  # last, so that an interrupted installation is repeated
    return python


def fingerprint(requirements: Path) -> str:
    return hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()


def versions(peer: Peer, python: Path) -> dict[str, str]:
    """Returns the installed versions."""
    installed: dict[str, str] = json.loads(_run([str(python), "-c", VERSIONS, *peer.packages, *ALWAYS], 60))
    return installed


def _make(home: Path, python: Path, requirements: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)], 120)
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    if requirements.name.startswith(ADDITIONS):
        _run([*pip, "--no-deps", "-r", str(requirements)], INSTALL_TIMEOUT)
        packages = Path(_run([str(python), "-c", PACKAGES], 60).strip())
        (packages / "batchline.pth").write_text(f"{sysconfig.get_path('purelib')}\n", encoding="utf-8")
        return
    if index := os.environ.get("TORCH_INDEX_URL"):  # like in install.py
        _run([*pip, "--no-deps", "--index-url", index, _pin(requirements, "torch")], INSTALL_TIMEOUT)
    _run([*pip, "-r", str(requirements)], INSTALL_TIMEOUT)


def _pin(requirements: Path, name: str) -> str:
    lines = requirements.read_text(encoding="utf-8").splitlines()
    return next(line for line in lines if line.startswith(f"{name}=="))


def _run(command: list[str], seconds: float) -> str:
    """Runs a command and returns its output. Kills it on a timeout. Raises BenchError with its error."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds)
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command[:4])} did not end within {seconds:g} s") from None
    except OSError as error:
        raise BenchError(f"{command[0]} cannot be run: {error}") from None
    if done.returncode:
        raise BenchError(_reason(done.stderr or done.stdout))
    return done.stdout


def _reason(output: str) -> str:
    """Returns the line of pip's output with the reason."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    errors = [line for line in lines if line.startswith("ERROR")]
    return (errors or lines or ["it failed without output"])[-1][:200]
