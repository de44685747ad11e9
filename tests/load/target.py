"""The server under load: a given URL, or its own `make run` on free ports."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from tests import processes
from tests.ports import free_port

READY = 120.0
"""Seconds that it may take until it is ready."""

OUT = Path(__file__).parent / "out"


@contextmanager
def served(url: str | None) -> Iterator[str]:
    """The base URL of a server that is ready; what was started for it ends with the block."""
    if url is not None:
        wait_until_ready(url)
        yield url.rstrip("/")
        return
    OUT.mkdir(exist_ok=True)
    port = free_port()
    with (
        TemporaryDirectory() as folder,
        (OUT / "server.log").open("wb") as log,
        processes.logging_to(log, "standalone", port=port, data_dir=folder),
    ):
        own = f"http://127.0.0.1:{port}"
        wait_until_ready(own)
        yield own


def wait_until_ready(url: str) -> None:
    """Raises RuntimeError if the server is not ready in time."""
    deadline, last = time.monotonic() + READY, "nothing"
    while time.monotonic() < deadline:
        try:
            answer = httpx.get(f"{url}/health/ready", timeout=5)
            if answer.status_code == 200:
                return
            last = answer.text[:300]
        except httpx.HTTPError as error:
            last = str(error)
        time.sleep(0.1)
    raise RuntimeError(f"{url} is not ready after {READY:g} s: {last}")
