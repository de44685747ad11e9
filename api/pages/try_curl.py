"""The curl line beside the form of /try: the same request, with the names of files, not their content."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from starlette.requests import Request

from api.pages import curl_lines, input_fields, try_form
from api.pages.curl_lines import Part
from api.pages.input_fields import InputField, Upload, Uploads
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.media.formats import FORMATS
from jobs.models import ModelSpec

SAMPLES = {"image": "photo.png", "audio": "sound.wav", "video": "clip.mp4"}
"""Names for files that are not chosen yet."""


def names(spec: ModelSpec, form: Mapping[str, str]) -> Uploads:
    """Files without content, with the names that a browser sent instead of them, separated by slashes."""
    return {
        field.name: [Upload(name, b"") for name in _names(field, form)]
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
    sent = [(field, upload.filename) for field in fields for upload in files.get(field.name, ())]
    if len(fields) == len(sent) == 1 and "parameters" not in asked:
        [(field, name)] = sent
        return curl_lines.of_file(request, spec.name, _safe(name), _content_type(name, field))
    parts = [Part("model", spec.name)]
    parts += [Part(_place(field), _safe(name), "file") for field, name in sent]
    parts += [part for field in fields if not field.is_media for part in _typed(field, asked["inputs"])]
    if "parameters" in asked:
        parts.append(Part("parameters", _json(asked["parameters"])))
    line = curl_lines.of_parts(request, [*parts, Part("keep_inputs", "true")])
    return line if len(line) <= curl_lines.MAX_BODY else None


def _place(field: InputField) -> str:
    return f"inputs.{field.part}" if field.part else "inputs"


def _typed(field: InputField, inputs: dict[str, Any]) -> Iterator[Part]:
    """The part for a typed value, if it is sent."""
    if field.part in inputs:
        value = inputs[field.part]
        is_text = isinstance(value, str)
        yield Part(_place(field), value if is_text else _json(value), "text" if is_text else "json")


def _names(field: InputField, form: Mapping[str, str]) -> list[str]:
    given = [name for name in form.get(field.name, "").split("/") if name]
    return given or [SAMPLES[field.kind]] * (2 if field.is_list else 1)


def _safe(name: str) -> str:
    """The name as a path that is never an option or the shell's input."""
    return f"./{name}" if name.startswith("-") or not name else name


def _content_type(name: str, field: InputField) -> str:
    """The type by the end of the name; the server recognises the format by the content."""
    end = name.rpartition(".")[2].lower()
    known = (each.content_type for each in FORMATS if each.extension == end and each.kind == field.kind)
    return next(known, "application/octet-stream")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
