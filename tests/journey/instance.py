"""Batchline in one terminal, as a test starts it, with its output, processes and answers."""

import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil

from tests.environments import clean_environment
from tests.ports import free_port
from tests.processes import ROOT, is_alive, kill_tree
from tests.waiting import until

PATIENCE = 90.0
"""Seconds for steps that take a few on an idle machine."""


class Instance:
    """A `python -m standalone` with terminal output, and every process that it was seen to start.

    `command` is started instead, in the folder `cwd`, with `arguments` and variables in `environment`.
    """

    def __init__(
        self,
        folder: Path,
        *arguments: str,
        command: Sequence[str] = (sys.executable, "-m", "standalone"),
        cwd: Path = ROOT,
        environment: Mapping[str, str] = {},
        **settings: object,
    ) -> None:
        self.port = free_port()
        self.output = folder / f"output-{self.port}"
        # a race of backends takes seconds at each first start: one test has it
        given = {"port": self.port, "data_dir": folder / "data", "backend": "torch", **settings}
        kept = clean_environment() | {
            f"BATCHLINE_{name.upper()}": str(value) for name, value in given.items()
        }
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [*command, *arguments],
                cwd=cwd,
                env=kept | dict(environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self._seen: set[psutil.Process] = set()

    def says(self, text: str) -> bool:
        return text in self.output.read_text()

    async def until_said(self, text: str) -> None:
        async def printed() -> bool:
            assert self.process.poll() is None or self.says(text), self.output.read_text()
            return self.says(text)

        await until(printed, PATIENCE)

    def family(self) -> set[psutil.Process]:
        """The process and its descendants; remembered, because an orphan gets another parent."""
        if self.process.poll() is None:
            me = psutil.Process(self.process.pid)
            self._seen |= {me, *me.children(recursive=True)}
        return self._seen

    def child(self, *words: str) -> psutil.Process:
        """The only running child whose command line ends in, or contains, these words."""
        children = psutil.Process(self.process.pid).children()
        (found,) = [each for each in children if all(word in " ".join(each.cmdline()) for word in words)]
        return found

    async def ended(self) -> int:
        """The exit status, once the process and everything that it started have ended."""

        async def nothing_is_left() -> bool:
            return self.process.poll() is not None and not any(map(is_alive, self._seen))

        await until(nothing_is_left, PATIENCE)
        return self.process.returncode

    def clean_up(self) -> None:
        for process in self.family():
            kill_tree(process.pid)
        self.process.wait(60)

    async def answer(self, text: str, address: str = "") -> dict[str, Any]:
        """Submits a text and waits for the finished job; `address` is of the API if it is not the usual."""
        url = f"http://{address or f'127.0.0.1:{self.port}'}"
        async with httpx.AsyncClient(base_url=url, timeout=90) as client:
            reply = await client.post("/v1/jobs", json={"inputs": text}, headers={"Prefer": "wait=60"})
        job: dict[str, Any] = reply.json()
        assert (reply.status_code, job["status"]) == (200, "succeeded"), job
        return job


@asynccontextmanager
async def ready(folder: Path, *arguments: str, **options: Any) -> AsyncIterator[Instance]:
    """A started instance that has reported that it is ready; `options` are those of Instance."""
    instance = Instance(folder, *arguments, **options)
    try:
        await instance.until_said(f"Batchline is ready: http://127.0.0.1:{instance.port}")
        instance.family()
        yield instance
    finally:
        instance.clean_up()


async def refusal(folder: Path, *arguments: str, **options: Any) -> str:
    """The output of an instance that exits with status 1, without log lines and without "Loading ..."."""
    instance = Instance(folder, *arguments, **options)
    try:

        async def over() -> bool:
            instance.family()
            return instance.process.poll() is not None

        await until(over, PATIENCE)
        assert await instance.ended() == 1
    finally:
        instance.clean_up()
    printed = instance.output.read_text()
    assert "Traceback" not in printed
    lines = [
        line for line in printed.splitlines() if not line.startswith(("{", "Loading", "Valkey is running"))
    ]
    assert len(lines) == 1, printed
    return lines[0]
