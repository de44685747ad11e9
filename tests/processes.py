"""Real processes for the tests: started with their own environment, ended by their id, never left behind."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from typing import IO

import httpx
import psutil

from tests.ledger import SHARDS

ROOT = Path(__file__).parent.parent


def running(
    module: str, *arguments: str, **settings: object
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """`python -m module` with `BATCHLINE_*` settings, given in lower case; it ends with the block.

    BATCHLINE_SHARDS is TEST_SHARDS unless it is given.
    """
    return logging_to(None, module, *arguments, **settings)


@contextmanager
def logging_to(
    log: IO[bytes] | None, module: str, *arguments: str, **settings: object
) -> Iterator[subprocess.Popen[bytes]]:
    """As `running`, but what it prints goes to the log; to the test's own output when that is None."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("BATCHLINE_")}
    settings = {"shards": SHARDS, "backend": "torch", **settings}
    environment |= {f"BATCHLINE_{name.upper()}": str(value) for name, value in settings.items()}
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments], cwd=ROOT, env=environment, stdout=log, stderr=log
    )
    try:
        yield process
    finally:
        if process.poll() is None:  # or its id may be another's by now
            kill_tree(process.pid)
            process.wait(10)


async def alive(url: str) -> bool:
    """Whether an API answers there."""
    try:
        async with httpx.AsyncClient(base_url=url) as client:
            return (await client.get("/health/live")).status_code == 200
    except httpx.TransportError:
        return False


def is_alive(process: psutil.Process) -> bool:
    """Whether the process runs and is no zombie."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def exists(pid: int) -> bool:
    """Whether a process with this id runs and is no zombie."""
    try:
        return is_alive(psutil.Process(pid))
    except psutil.NoSuchProcess:
        return False


def kill_tree(pid: int) -> None:
    """SIGKILL for a process and all that it started."""
    with suppress(psutil.NoSuchProcess):
        parent = psutil.Process(pid)
        for process in [*parent.children(recursive=True), parent]:
            with suppress(psutil.NoSuchProcess):
                process.kill()


def write_models(folder: Path, **fields: object) -> Path:
    """A models.toml whose model `sentiment` is the poison pipeline."""
    table = {"pipeline": "tests.worker.poison:Poison", "max_batch_items": 16, "batch_timeout": 60.0, **fields}
    lines = ["[models.sentiment]"] + [f"{name} = {_toml(value)}" for name, value in table.items()]
    path = folder / "models.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _toml(value: object) -> str:
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {_toml(inner)}" for name, inner in value.items()) + " }"
    return f'"{value}"' if isinstance(value, str) else str(value).lower()
