"""Reads forms that may have files: as multipart by a browser, or without files as any other form."""

from collections.abc import AsyncGenerator
from typing import NamedTuple

from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from api.edge import bodies
from api.pages import forms
from api.pages.input_fields import Upload, Uploads
from jobs.errors import InvalidRequest

MAX_FILES = 1_000
PIECE = 256 * 1024
"""Bytes that are parsed at once."""


class Sent(NamedTuple):
    """A form's texts, the first of each name, and its files."""

    fields: dict[str, str]
    files: Uploads


async def read(request: Request, max_bytes: int) -> Sent:
    """The form. Raises InvalidRequest, or Refusal if it is too large or exceeds the free memory.

    `max_bytes` is the limit of a request. Texts have the limit of other forms.
    """
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return Sent(await forms.read(request, max_bytes), {})
    body = await bodies.read(request, max_bytes)

    async def pieces() -> AsyncGenerator[bytes, None]:
        for at in range(0, len(body), PIECE):
            yield bytes(body[at : at + PIECE])

    parser = MultiPartParser(
        request.headers,
        pieces(),
        max_files=MAX_FILES,
        max_fields=forms.MAX_FIELDS,
        max_part_size=forms.MAX_FORM,
    )
    parser.spool_max_size = max_bytes  # no file of a client is written to the disk
    try:
        parsed = await parser.parse()
    except MultiPartException as error:
        raise InvalidRequest(f"the form cannot be read: {error.message}") from None
    fields: dict[str, str] = {}
    files: dict[str, list[Upload]] = {}
    for name, value in parsed.multi_items():
        if isinstance(value, str):
            fields.setdefault(name, value)
            continue
        content = await value.read()
        if value.filename or content:  # a browser sends an empty part for a field without a file
            files.setdefault(name, []).append(Upload(value.filename or "", content))
    if sum(map(len, fields.values())) > forms.MAX_FORM:
        raise InvalidRequest(f"the form's texts are longer than {forms.MAX_FORM} bytes")
    return Sent(fields, files)
