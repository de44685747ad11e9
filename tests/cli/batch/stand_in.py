"""A server of OpenAI's Files and Batches whose faults a test decides: lost answers, stops, other orders."""

import email
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.ports import free_port

Answer = Callable[[dict[str, Any]], dict[str, Any]]
"""Makes what a line of the output has beside its `custom_id`, of the request."""


def upper(line: dict[str, Any]) -> dict[str, Any]:
    """The text of a job in capitals; a text with `bad` fails."""
    text = line["body"]["inputs"][0]
    if "bad" in text:
        body = {"title": "Invalid request", "detail": "the text is bad"}
        return {"response": {"status_code": 422, "body": body}, "error": None}
    return {"response": {"status_code": 200, "body": {"results": [{"output": text.upper()}]}}, "error": None}


class StandIn:
    """Its state outlives its socket, so it can be stopped and started as a durable server can."""

    def __init__(self) -> None:
        self.answer: Answer = upper
        self.files: dict[str, bytes] = {}
        self.batches: dict[str, dict[str, Any]] = {}
        self.calls: list[str] = []
        self.key: str | None = None
        self.held = False
        """Whether batches stay in progress."""
        self.lost: set[str] = set()
        """Calls of which the next one is carried out and not answered."""
        self.cut: int | None = None
        """Bytes after which the next download is cut off."""
        self.ranges: list[str] = []
        """What downloads asked for that were not begun anew."""
        self.refuses: dict[str, int] = {}
        """Calls of which the next one gets this status."""
        self.retry_after = ""
        """A header of these refusals."""
        self.forms: dict[str, dict[str, str]] = {}
        """The fields of each upload."""
        self.port = free_port()
        self._lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @contextmanager
    def running(self) -> Iterator["StandIn"]:
        server = ThreadingHTTPServer(("127.0.0.1", self.port), type("Handler", (_Handler,), {"served": self}))
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def respond(self, call: str, query: dict[str, list[str]], body: bytes, kind: str) -> Any:
        """The JSON or the bytes of an answer."""
        match call.split("/")[2:]:
            case ["models"]:
                return {"object": "list", "data": [{"id": "sentiment"}]}
            case ["files"]:
                message = email.message_from_bytes(f"Content-Type: {kind}\r\n\r\n".encode() + body)
                parts: Any = message.get_payload()
                content = next(each for each in parts if each.get_filename())
                name = f"file-{len(self.files)}"
                self.files[name] = content.get_payload(decode=True)
                fields = [each for each in parts if each is not content]
                self.forms[name] = {
                    str(each.get_param("name", header="content-disposition")): each.get_payload()
                    for each in fields
                }
                return {"id": name, "object": "file"}
            case ["files", name] if call.startswith("DELETE"):
                del self.files[name]
                return {"id": name, "deleted": True}
            case ["files", name, "content"]:
                return self.files[name]
            case ["batches"] if call.startswith("POST"):
                return self._create(json.loads(body))
            case ["batches"]:
                newest = list(self.batches.values())[::-1]
                after = query.get("after", [None])[0]
                start = next((i + 1 for i, each in enumerate(newest) if each["id"] == after), 0)
                page = newest[start : start + 1]  # small pages: the client must ask for all
                return {"data": page, "has_more": start + 1 < len(newest)}
            case ["batches", name]:
                self._advance(self.batches[name])
                return self.batches[name]
            case ["batches", name, "cancel"]:
                self.batches[name]["status"] = "cancelled"
                return self.batches[name]
        raise KeyError(call)

    def _create(self, asked: dict[str, Any]) -> dict[str, Any]:
        name = f"batch_{len(self.batches)}"
        lines = self.files[asked["input_file_id"]].splitlines()
        self.batches[name] = {
            "id": name,
            "created_at": 1_790_000_000,
            "status": "validating",
            **asked,
            "request_counts": {"total": len(lines), "completed": 0, "failed": 0},
        }
        return self.batches[name]

    def _advance(self, batch: dict[str, Any]) -> None:
        if batch["status"] != "in_progress" or self.held or "input_file_id" not in batch:
            if batch["status"] == "validating":
                batch["status"] = "in_progress"
            return
        found: dict[bool, list[bytes]] = {True: [], False: []}
        for line in map(json.loads, self.files[batch["input_file_id"]].splitlines()):
            answered = self.answer(line)
            good = (answered.get("response") or {"status_code": 500})["status_code"] < 400
            found[good].append(json.dumps({"id": "x", "custom_id": line["custom_id"], **answered}).encode())
        for good, member in ((True, "output_file_id"), (False, "error_file_id")):
            if found[good]:
                batch[member] = f"file-{len(self.files)}"
                self.files[batch[member]] = b"".join(line + b"\n" for line in reversed(found[good]))
        counts = batch["request_counts"]
        counts["completed"], counts["failed"] = len(found[True]), len(found[False])
        batch["status"] = "completed"


class _Handler(BaseHTTPRequestHandler):
    served: StandIn
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self._do()

    def do_POST(self) -> None:
        self._do()

    def do_DELETE(self) -> None:
        self._do()

    def _do(self) -> None:
        server, parts = self.served, urlsplit(self.path)
        call = f"{self.command} {parts.path}"
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        with server._lock:
            server.calls.append(call)
            if server.key and self.headers.get("authorization") != f"Bearer {server.key}":
                self._send(401, b'{"error": {"message": "give a key"}}')
                return
            if status := server.refuses.pop(call, None):
                self._send(status, b'{"error": {"message": "not now"}}')
                return
            try:
                kind = self.headers.get("content-type", "")
                answer = server.respond(call, parse_qs(parts.query), body, kind)
            except KeyError as missing:
                self._send(404, json.dumps({"error": {"message": f"there is no {missing}"}}).encode())
                return
            if call in server.lost:
                server.lost.discard(call)
                self.close_connection = True
                return
        if isinstance(answer, bytes):
            self._send_content(answer)
        else:
            self._send(200, json.dumps(answer).encode())

    def _send_content(self, content: bytes) -> None:
        self.served.ranges += self.headers.get_all("range", [])
        start = int((self.headers.get("range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))
        if (cut := self.served.cut) is not None:
            self.served.cut, self.close_connection = None, True
            self._send(200, content[:cut], len(content))
        else:
            self._send(206 if start else 200, content[start:])

    def _send(self, status: int, body: bytes, size: int | None = None) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body) if size is None else size))
        if status >= 400 and self.served.retry_after:
            self.send_header("retry-after", self.served.retry_after)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Prints nothing."""
