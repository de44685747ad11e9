"""The API as a process on a Valkey of its own, and raw bytes to and from it: no HTTP client is in the way."""

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import redis

from api.problems.statuses import STATUSES
from api.v1.problems import MEDIA_TYPE
from jobs.problem_kinds import TYPE
from tests import processes, valkey
from tests.conftest import passing
from tests.ports import free_port
from tests.waiting import until

PATIENCE = 60.0
"""Seconds that any answer may take."""


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes


class Api(NamedTuple):
    port: int
    ledger: redis.Redis
    log: Path

    def send(self, data: bytes, *, half_close: bool = False) -> bytes:
        """The server's bytes until it closes. With `half_close` the client first closes its sending side."""
        with socket.create_connection(("127.0.0.1", self.port), PATIENCE) as connection:
            received = b""
            with suppress(BrokenPipeError, ConnectionResetError):  # the server has closed the connection
                connection.sendall(data)
                if half_close:
                    connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                while chunk := connection.recv(65_536):
                    received += chunk
            return received

    def ask(self, method: str, path: bytes | str, *headers: bytes, body: bytes = b"") -> Answer:
        path = path if isinstance(path, bytes) else path.encode()
        lines = [method.encode() + b" " + path + b" HTTP/1.1", b"host: edge", b"connection: close", *headers]
        if body:
            lines.append(b"content-length: %d" % len(body))
        return parsed(self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body))

    def submit(self, body: bytes, *headers: bytes) -> Answer:
        return self.ask("POST", "/v1/jobs", b"content-type: application/json", *headers, body=body)

    def left(self) -> set[bytes]:
        """All keys, but for those of whoever sweeps and samples, which come and go."""
        return {key for key in self.ledger.scan_iter() if not passing(key.decode())}


def parsed(answer: bytes) -> Answer:
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    return Answer(int(first.split(" ")[1]), headers, body)


@contextmanager
def serving(folder: Path, models: str) -> Iterator[Api]:
    """Both processes, until the block ends."""
    models_file, log = folder / "models.toml", folder / "log"
    models_file.write_text(models)
    with valkey.running(folder) as server, log.open("wb") as sink:
        port = free_port()
        own = {"redis_url": server.url(), "models_file": models_file, "port": port, "max_wait": 0.05}
        with processes.logging_to(sink, "api", **own), redis.Redis.from_url(server.url()) as ledger:
            asyncio.run(until(partial(processes.alive, f"http://127.0.0.1:{port}")))
            yield Api(port, ledger, log)


def is_problem(answer: Answer, kind: str) -> dict[str, Any]:
    assert answer.status == STATUSES[kind], answer
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem: dict[str, Any] = msgspec.json.decode(answer.body)
    assert problem["type"] == TYPE + kind
    return problem
