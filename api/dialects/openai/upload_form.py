"""The form of an upload: a file, whose bytes are passed on as they arrive, and fields before or after it."""

import re
from collections.abc import AsyncIterable, AsyncIterator

from api.edge.multipart import FormParser, Head
from bulk.files.file import MAX_NAME, UPLOADED, NewFile, Purpose
from jobs.bulk_settings import MONTH
from jobs.errors import InvalidRequest

FILE = "file"
ANCHOR, SECONDS = "expires_after[anchor]", "expires_after[seconds]"
FIELDS = ("purpose", ANCHOR, SECONDS)
MAX_VALUE = 200
"""Most bytes of a field."""

MIN_LIFETIME, MAX_LIFETIME = 3600, MONTH

OVERHEAD = 64 * 1024
"""Most bytes of a form besides the file's."""


class UploadForm(FormParser):
    """Takes the form's bytes, collects its fields and gives out the file's bytes. Raises InvalidRequest."""

    def __init__(self, content_type: str) -> None:
        super().__init__(content_type, max_parts=len(FIELDS) + 1)
        self._fields: dict[str, bytearray] = {}
        self._filename: str | None = None
        self._field: bytearray | None = None
        """The field that is being received; None within the file."""
        self._pieces: list[bytes] = []

    def begin(self, head: Head) -> None:
        if head.name == FILE:
            if self._filename is not None:
                raise InvalidRequest("file: given twice in the form; send one file", pointer="/file")
            if head.filename is None:
                raise InvalidRequest(
                    "file: send it as a file, with a filename (curl -F file=@lines.jsonl)", pointer="/file"
                )
            self._filename, self._field = head.filename, None
            return
        if head.name not in FIELDS:
            raise InvalidRequest(
                f"the form has a part named {head.name[:60]!r}; there are {FILE}, {', '.join(FIELDS)}"
            )
        if head.name in self._fields:
            raise InvalidRequest(f"{head.name}: given twice in the form", pointer=f"/{head.name}")
        self._field = self._fields[head.name] = bytearray()

    def data(self, data: bytes) -> None:
        if self._field is None:
            self._pieces.append(data)
            return
        self._field += data
        if len(self._field) > MAX_VALUE:
            raise InvalidRequest(f"a field of the form is longer than {MAX_VALUE} bytes")

    def finish(self) -> None:
        self._field = None

    async def file_of(self, body: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        """Yields the bytes of the file as they arrive. Raises InvalidRequest, and what `body` raises."""
        async for piece in body:
            self.write(piece)
            pieces, self._pieces = self._pieces, []
            for each in pieces:
                yield each
        self.end()

    def described(self, owner: str) -> NewFile:
        """What the form says of the file, once all of it has arrived. Raises InvalidRequest."""
        fields = {name: value.decode("utf-8", "replace") for name, value in self._fields.items()}
        if self._filename is None:
            raise InvalidRequest("file: the form has no part named file", pointer="/file")
        return NewFile(
            owner=owner,
            purpose=_purpose(fields.get("purpose")),
            filename=_name(self._filename),
            lifetime=_lifetime(fields.get(ANCHOR), fields.get(SECONDS)),
        )


def _purpose(given: str | None) -> Purpose:
    for purpose in UPLOADED:
        if given == purpose:
            return purpose
    what = "missing" if given is None else f"{given[:60]!r} is not supported"
    raise InvalidRequest(f"purpose: {what}; give {' or '.join(UPLOADED)}", pointer="/purpose")


def _lifetime(anchor: str | None, seconds: str | None) -> float | None:
    if anchor is None and seconds is None:
        return None
    if anchor != "created_at":
        raise InvalidRequest(f"{ANCHOR}: must be created_at", pointer=f"/{ANCHOR}")
    if seconds is None or not re.fullmatch(r"\d{1,9}", seconds, re.ASCII):
        raise InvalidRequest(f"{SECONDS}: must be a whole number", pointer=f"/{SECONDS}")
    if not MIN_LIFETIME <= int(seconds) <= MAX_LIFETIME:
        raise InvalidRequest(
            f"{SECONDS}: must be from {MIN_LIFETIME} to {MAX_LIFETIME}", pointer=f"/{SECONDS}"
        )
    return float(seconds)


def _name(given: str) -> str:
    """The file's name without folders and control characters: clients send paths, and others read it."""
    name = re.split(r"[/\\]", given)[-1]
    return "".join(character for character in name if character.isprintable())[-MAX_NAME:] or "file"
