"""A hub of models on this machine that answers as the Hugging Face hub does: one folder is one model."""

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

COMMIT = "0123456789abcdef0123456789abcdef01234567"
"""The one commit of every model."""


@contextmanager
def running(models: dict[str, Path]) -> Iterator[str]:
    """The address of a hub with these models, by their ids; to be given as HF_ENDPOINT."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, models))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    def __init__(self, models: dict[str, Path], *connection: Any) -> None:
        self._models = models
        super().__init__(*connection)

    def do_GET(self) -> None:
        self._answer()

    def do_HEAD(self) -> None:
        self._answer()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - its name in the base class
        pass

    def _answer(self) -> None:
        path = self.path.partition("?")[0].removeprefix("/")
        if "/tree/" in path:  # of a folder inside a model, which none has
            self._refuse("EntryNotFound")
        elif path.startswith("api/models/"):
            model, _, rest = path.removeprefix("api/models/").partition("/revision/")
            self._describe(model, rest or "main")
        else:
            model, _, rest = path.partition("/resolve/")
            self._file(model, *rest.partition("/")[::2])

    def _describe(self, model: str, revision: str) -> None:
        if model not in self._models:
            self._refuse("RepoNotFound")
        elif revision not in ("main", COMMIT):
            self._refuse("RevisionNotFound")
        else:
            names = sorted(each.name for each in self._models[model].iterdir())
            files = [{"rfilename": name} for name in names]
            self._send(json.dumps({"id": model, "sha": COMMIT, "siblings": files}).encode())

    def _file(self, model: str, revision: str, name: str) -> None:
        if model not in self._models:
            self._refuse("RepoNotFound")
        elif revision not in ("main", COMMIT):
            self._refuse("RevisionNotFound")
        elif not (self._models[model] / name).is_file():
            self._refuse("EntryNotFound")
        else:
            self._send((self._models[model] / name).read_bytes())

    def _refuse(self, code: str) -> None:
        self._send(b"", 404, {"X-Error-Code": code})

    def _send(self, body: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", COMMIT)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
