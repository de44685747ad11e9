"""`make load`, if locust is installed: against Batchline, and against a faulty server."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from bench import stack
from tests.load.test_overload import MODELS
from tests.processes import ROOT

pytestmark = pytest.mark.skipif(find_spec("locust") is None, reason="locust is not installed")


def load(url: str) -> tuple[int, str]:
    """Exit status and what it prints. In a process of its own, for locust patches the standard library."""
    command = [
        sys.executable,
        "-m",
        "tests.load",
        "--url",
        url,
        "--users",
        "8",
        "--rate",
        "8",
        "--seconds",
        "3",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=110, check=False)
    return done.returncode, done.stdout + done.stderr


def test_a_server_that_works_passes(tmp_path: Path) -> None:
    models = MODELS.format(record=tmp_path / "record", batch=8)
    with stack.running(models) as running:
        status, output = load(f"http://127.0.0.1:{running.port}")
    assert status == 0, output
    assert "0 lost, 0 wrong; 0 submits refused, 0 requests failed" in output
    for entry in ("GET poll", "JOB queued", "JOB compute", "POST submit a list and wait"):
        assert entry in output


class Wrong(BaseHTTPRequestHandler):
    """Accepts every job, and answers each with one result too many."""

    protocol_version = "HTTP/1.1"
    out_of_order = False

    def do_GET(self) -> None:
        self._tell({})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if self.out_of_order:
            self._tell({"detail": "out of order"}, 500)
            return
        given = body["inputs"] if isinstance(body["inputs"], list) else [body["inputs"]]
        timings = {"queued_ms": 1.0, "compute_ms": 1.0, "total_ms": 2.0}
        results = [{"output": text} for text in [*given, "one more"]]
        job = {"id": "1", "status": "succeeded", "finished_at": "now", "results": results, "timings": timings}
        self._tell(job)

    def _tell(self, answer: dict[str, Any], status: int = 200) -> None:
        data = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("content-length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
        pass


class OutOfOrder(Wrong):
    out_of_order = True


@contextmanager
def serving(handler: type[Wrong]) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize(("handler", "reason"), [(Wrong, " results for "), (OutOfOrder, "500: ")])
def test_a_server_that_is_wrong_does_not(handler: type[Wrong], reason: str) -> None:
    with serving(handler) as url:
        status, output = load(url)
    assert status == 1
    assert "the first fault: " in output
    assert reason in output
