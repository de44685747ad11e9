"""Server: the calls of OpenAI's Files and Batches that the command makes. What went wrong is a sentence."""

from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Annotated, Any, BinaryIO, Literal, TypeVar
from urllib.parse import quote

import httpx
import msgspec

from cli.batch.errors import CannotContinue, Refused, Unavailable

T = TypeVar("T")

TIMEOUT = httpx.Timeout(60.0, connect=5.0)
PIECE = 256 * 1024
TEMPORARY = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may succeed."""
PAGE = 100
LAST_TIME = 253_402_300_799
"""The end of the year 9999, after which Python has no dates."""


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
    created_at: Annotated[int, msgspec.Meta(ge=0, le=LAST_TIME)] = 0
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
        try:
            self._client = httpx.Client(headers=headers, timeout=TIMEOUT)
        except (ValueError, ImportError, httpx.InvalidURL) as error:  # of HTTP_PROXY and its like
            raise CannotContinue(f"the proxy that the environment names cannot be used: {error}") from None

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: Any, trace: TracebackType | None) -> None:
        self._client.close()

    def models(self) -> list[str]:
        return [each.id for each in self._call("GET", "/v1/models", _Models).data]

    def upload(
        self, file: BinaryIO, name: str, purpose: Literal["batch", "user_data"], lifetime: int | None
    ) -> str:
        """Sends a file, which the server keeps for `lifetime` seconds if that is given; returns its id."""
        file.seek(0)
        fields: dict[str, str] = {"purpose": purpose}
        for field, value in _expiry(lifetime).items():
            fields[f"expires_after[{field}]"] = str(value)
        parts = {"file": (name, file)}
        return self._call("POST", "/v1/files", _Named, data=fields, files=parts).id

    def delete(self, file: str) -> None:
        self._call("DELETE", f"/v1/files/{quote(file, safe='')}", _Named)

    def create(
        self,
        file: str,
        endpoint: str,
        metadata: Mapping[str, str],
        media: str | None = None,
        lifetime: int | None = None,
    ) -> Batch:
        """Creates a batch. `media` is the file of an archive, `lifetime` the seconds of its output files."""
        body: dict[str, Any] = {
            "input_file_id": file,
            "endpoint": endpoint,
            "completion_window": "24h",
            "metadata": dict(metadata),
        }
        if media is not None:
            body["media_file_id"] = media
        if lifetime is not None:
            body["output_expires_after"] = _expiry(lifetime)
        return self._call("POST", "/v1/batches", Batch, json=body)

    def batch(self, batch_id: str) -> Batch:
        return self._call("GET", f"/v1/batches/{quote(batch_id, safe='')}", Batch)

    def cancel(self, batch_id: str) -> Batch:
        return self._call("POST", f"/v1/batches/{quote(batch_id, safe='')}/cancel", Batch)

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
        address = f"{self.url}/v1/files/{quote(file, safe='')}/content"
        try:
            with self._client.stream("GET", address, headers=headers) as answer:
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
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise CannotContinue(f"{self.url} answers, but not as a server of batches would") from None

    def _unreachable(self, error: Exception) -> CannotContinue:
        if isinstance(error, httpx.UnsupportedProtocol | httpx.InvalidURL):
            return CannotContinue(f"{self.url} is no address of a server: {error}")
        why = str(error) or ("it did not answer in time" if isinstance(error, httpx.TimeoutException) else "")
        return Unavailable(f"{self.url} cannot be reached: {why or type(error).__name__}")

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
            raise Unavailable(text, float(after) if after.isascii() and after.isdigit() else None)
        raise Refused(text, answer.status_code)


def _expiry(seconds: int | None) -> dict[str, Any]:
    """`expires_after` of OpenAI's interface, {} for none."""
    return {} if seconds is None else {"anchor": "created_at", "seconds": seconds}


def message_of(body: bytes) -> str:
    """What an error says, in the form of OpenAI or of problem+json; "" if it is neither."""
    try:
        found = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    if not isinstance(found, dict):
        return ""
    error = found.get("error")
    said = error.get("message") if isinstance(error, dict) else found.get("detail") or found.get("title")
    return said if isinstance(said, str) else ""
