"""Server: the calls of OpenAI's Files and Batches that the command makes. What went wrong is a sentence."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, BinaryIO, TypeVar

import httpx
import msgspec

from cli.batch.errors import CannotContinue, Unavailable

T = TypeVar("T")

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PIECE = 256 * 1024
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
PAGE = 100


class Counts(msgspec.Struct):
    total: int = 0
    completed: int = 0
    failed: int = 0

    @property
    def done(self) -> int:
        return self.completed + self.failed


class Fault(msgspec.Struct):
    """An error in the file of a batch."""

    message: str = ""
    line: int | None = None
    code: str | None = None


class Faults(msgspec.Struct):
    data: list[Fault] = []


class Batch(msgspec.Struct):
    """A batch, as far as the command reads it."""

    id: str
    status: str
    endpoint: str = ""
    created_at: int = 0
    request_counts: Counts | None = None
    output_file_id: str | None = None
    error_file_id: str | None = None
    errors: Faults | None = None
    metadata: dict[str, str] | None = None

    @property
    def ended(self) -> bool:
        return self.status in ("completed", "failed", "cancelled", "expired")

    @property
    def counts(self) -> Counts:
        return self.request_counts or Counts()


class _Named(msgspec.Struct):
    id: str


class _Models(msgspec.Struct):
    data: list[_Named]


class _Page(msgspec.Struct):
    data: list[Batch]
    has_more: bool = False


class Server:
    """A client of one server. Each call is one request. Raises CannotContinue, or Unavailable."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/").removesuffix("/v1")
        if key and not (key.isascii() and key.isprintable()):
            raise CannotContinue("the API key has characters that no key has")
        headers = {"authorization": f"Bearer {key}"} if key else None
        self._client = httpx.Client(headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self._client.close()

    def models(self) -> list[str]:
        return [each.id for each in self._call("GET", "/v1/models", _Models).data]

    def upload(self, file: BinaryIO, name: str) -> str:
        """Sends a file of a batch; returns its id."""
        file.seek(0)
        parts = {"file": (name, file, "application/jsonl")}
        return self._call("POST", "/v1/files", _Named, data={"purpose": "batch"}, files=parts).id

    def create(self, file: str, endpoint: str, metadata: Mapping[str, str]) -> Batch:
        body = {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": dict(metadata),
        }
        return self._call("POST", "/v1/batches", Batch, json=body)

    def batch(self, batch_id: str) -> Batch:
        return self._call("GET", f"/v1/batches/{batch_id}", Batch)

    def cancel(self, batch_id: str) -> Batch:
        return self._call("POST", f"/v1/batches/{batch_id}/cancel", Batch)

    def batches(self) -> Iterator[Batch]:
        """All batches, the newest first, page by page."""
        params: dict[str, Any] = {"limit": PAGE}
        while True:
            page = self._call("GET", "/v1/batches", _Page, params=params)
            yield from page.data
            if not page.has_more or not page.data:
                return
            params["after"] = page.data[-1].id

    def download(self, file: str, into: BinaryIO) -> None:
        """Appends what is missing of a file's content to `into`, which an interrupted call has begun."""
        start = into.seek(0, 2)
        headers = {"range": f"bytes={start}-"} if start else {}
        try:
            with self._client.stream("GET", f"{self.url}/v1/files/{file}/content", headers=headers) as answer:
                if answer.status_code == 416:  # nothing was missing
                    return
                if answer.status_code not in (200, 206):
                    answer.read()
                self._check(answer)
                if answer.status_code == 200:
                    into.seek(0)
                    into.truncate()
                for piece in answer.iter_bytes(PIECE):
                    into.write(piece)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None

    def _call(self, method: str, path: str, kind: type[T], **request: Any) -> T:
        try:
            answer = self._client.request(method, self.url + path, **request)
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(error) from None
        self._check(answer)
        try:
            return msgspec.json.decode(answer.content, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise CannotContinue(f"{self.url} answers, but not as a server of batches would") from None

    def _unreachable(self, error: Exception) -> CannotContinue:
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return CannotContinue(f"{self.url} is no address of a server: {error}")
        why = str(error) or ("it did not answer in time" if isinstance(error, httpx.TimeoutException) else "")
        sent = not isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        return Unavailable(f"{self.url} cannot be reached: {why or type(error).__name__}", sent=sent)

    def _check(self, answer: httpx.Response) -> None:
        if answer.is_success:
            return
        if answer.status_code == 401:
            raise CannotContinue(
                f"{self.url} requires an API key: give one with --api-key or in BATCHLINE_API_KEY"
                + (" (it refused this one)" if "authorization" in self._client.headers else "")
            )
        said = message_of(answer.content) or answer.reason_phrase
        text = f"{self.url} answered {answer.status_code}: {said}"
        if answer.status_code in TEMPORARY:
            after = answer.headers.get("retry-after", "")
            raise Unavailable(text, float(after) if after.isdigit() else None)
        raise CannotContinue(text)


def message_of(body: bytes) -> str:
    """What an error says, in the form of OpenAI or of problem+json; "" if it is neither."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""
    if not isinstance(found, dict):
        return ""
    error = found.get("error")
    said = error.get("message") if isinstance(error, dict) else found.get("detail") or found.get("title")
    return said if isinstance(said, str) else ""
