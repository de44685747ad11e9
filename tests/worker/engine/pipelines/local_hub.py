"""A hub on this machine: one model's files as the Hugging Face hub serves them, and the requests received."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

MODEL = "Org/tiny"
COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Hub:
    """`folder` holds the model's files; None: it answers each request with this status and error code."""

    def __init__(self, folder: Path | None, status: int = 503, error: str = "") -> None:
        self.folder = folder
        self.status, self.error = status, error
        if folder is not None:
            self.open(folder)
        self.requests: list[str] = []
        """Method and path of each request."""
        self.url = ""

    def open(self, folder: Path) -> None:
        """Makes the model available from now on."""
        self.folder, self.status, self.error = folder, 404, "EntryNotFound"

    def found(self, path: str) -> bytes | None:
        place = f"/{MODEL}/resolve/{COMMIT}/"
        if self.folder is None or not path.startswith(place):
            return None
        file = self.folder / path.removeprefix(place)
        return file.read_bytes() if file.is_file() else None


@contextmanager
def serving(hub: Hub) -> Iterator[Hub]:
    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self._answer(body=False)

        def do_GET(self) -> None:
            self._answer(body=True)

        def _answer(self, *, body: bool) -> None:
            hub.requests.append(f"{self.command} {self.path}")
            content = b"" if self.path == "/between" else hub.found(self.path)
            if content is None:
                self.send_response(hub.status)
                if hub.error:
                    self.send_header("X-Error-Code", hub.error)
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        hub.url = f"http://127.0.0.1:{server.server_address[1]}"
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()
