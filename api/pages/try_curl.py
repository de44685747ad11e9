"""The curl line beside the form of /try: the same request, with the names of files, not their content.

Where no file is chosen, the form sends the model's example, so the command fetches it first.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.requests import Request

from api.pages import curl_lines, example_media, input_fields, try_form
from api.pages.curl_lines import Part
from api.pages.input_fields import InputField, Upload, Uploads
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.media.formats import FORMATS
from jobs.models import ModelSpec


class _File(NamedTuple):
    """One file that the command sends. `source`: the path from which it is fetched first, if so."""

    field: InputField
    name: str
    source: str = ""


def names(spec: ModelSpec, form: Mapping[str, str]) -> Uploads:
    """Files without content, with the names that a browser sent instead of them, separated by slashes."""
    return {
        field.name: [Upload(name, b"") for name in form.get(field.name, "").split("/") if name]
        for field in input_fields.fields(spec)
        if field.is_media
    }


def line(request: Request, form: Mapping[str, str], catalog: ModelCatalog, files: Uploads) -> str | None:
    """The command, or None if the form's content is not valid or the request is too long to be shown."""
    try:
        asked = try_form.body(form, catalog, files)
    except InvalidRequest:
        return None
    spec = catalog[asked["model"]]
    fields = input_fields.fields(spec)
    if not any(field.is_media for field in fields):
        return curl_lines.submit(request, asked)
    sent = [file for field in fields if field.is_media for file in _files(spec, field, files)]
    fetched = [curl_lines.save(request, file.source, file.name) for file in sent if file.source]
    command = _command(request, spec, fields, sent, asked)
    line = " &&\n".join([*fetched, command])
    return line if len(line) <= curl_lines.MAX_BODY else None


def _command(
    request: Request,
    spec: ModelSpec,
    fields: Sequence[InputField],
    sent: Sequence[_File],
    asked: Mapping[str, Any],
) -> str:
    if len(fields) == len(sent) == 1 and "parameters" not in asked:
        [file] = sent
        return curl_lines.of_file(request, spec.name, _safe(file.name), _content_type(file))
    parts = [Part("model", spec.name)]
    parts += [Part(_place(file.field), _safe(file.name), "file") for file in sent]
    parts += [part for field in fields if not field.is_media for part in _typed(field, asked["inputs"])]
    if "parameters" in asked:
        parts.append(Part("parameters", _json(asked["parameters"])))
    return curl_lines.of_parts(request, [*parts, Part("keep_inputs", "true")])


def _place(field: InputField) -> str:
    return f"inputs.{field.part}" if field.part else "inputs"


def _typed(field: InputField, inputs: dict[str, Any]) -> Iterator[Part]:
    """The part for a typed value, if it is sent."""
    if field.part in inputs:
        value = inputs[field.part]
        is_text = isinstance(value, str)
        yield Part(_place(field), value if is_text else _json(value), "text" if is_text else "json")


def _files(spec: ModelSpec, field: InputField, files: Uploads) -> list[_File]:
    """The files that were chosen for the field, or else the example's."""
    if chosen := files.get(field.name):
        return [_File(field, upload.filename) for upload in chosen]
    return [_File(field, *example) for example in example_media.files(spec, field)]


def _safe(name: str) -> str:
    """The name as a path that is never an option or the shell's input."""
    return f"./{name}" if name.startswith("-") or not name else name


def _content_type(file: _File) -> str:
    """The type by the end of the name; the server recognises the format by the content."""
    end, kind = file.name.rpartition(".")[2].lower(), file.field.kind
    known = (
        each.content_type for each in FORMATS if each.extension == end and kind in (each.kind, *each.also)
    )
    return next(known, "application/octet-stream")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
