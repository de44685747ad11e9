"""The form of /try: parses it to one job, and fills it in with a model's example. No I/O.

The form sends the same request as the curl line beside it: one input, or a list with one input per line.
Files and records have fields of their own (`input_fields.py`).
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from api.pages import input_fields, parameter_fields
from api.pages.input_fields import Uploads
from api.v1 import submission
from api.v1.model_schemas import example
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest, UnknownModel
from jobs.ledger.ids import created_ms
from jobs.media import values
from jobs.models import ModelSpec
from jobs.schema import JobRequest, NewJob

NO_FILES: Uploads = {}


def body(form: Mapping[str, str], catalog: ModelCatalog, files: Uploads = NO_FILES) -> dict[str, Any]:
    """The form as the body of `POST /v1/jobs`, not yet validated; media are bytes. Raises InvalidRequest.

    The inputs are kept, because the answers are shown beside them.
    """
    spec = catalog[form.get("model") or catalog.default.name]
    has_fields = bool(input_fields.fields(spec))
    inputs = input_fields.inputs(spec, form, files) if has_fields else _texts(form, spec)
    parameters = parameter_fields.parameters(spec, form)
    asked = {"model": spec.name, "inputs": inputs}
    return asked | ({"parameters": parameters} if parameters else {}) | {"keep_inputs": True}


def _texts(form: Mapping[str, str], spec: ModelSpec) -> Any:
    """The typed text as one input or a list of inputs."""
    if "text" not in form:
        raise InvalidRequest("the form has no field named text", pointer="/inputs")
    given = _given(form)
    if not given:
        raise InvalidRequest("all lines are empty", pointer="/inputs")
    is_json = spec.definition.input.is_json
    inputs = [
        _parsed(where, text) if is_json else input_fields.paired(text, spec, form) for where, text in given
    ]
    # a lone input is not put in a list, unless it is a list itself
    return inputs[0] if len(inputs) == 1 and not isinstance(inputs[0], list) else inputs


def _given(form: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each input's place in the form, and its text."""
    text = form["text"].replace("\r\n", "\n")
    if form.get("mode") != "lines":
        return [("the input", text)]
    return [(f"line {i}", line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def job(form: Mapping[str, str], catalog: ModelCatalog, files: Uploads = NO_FILES) -> NewJob:
    """The form's job. Raises InvalidRequest about the form's fields."""
    asked = body(form, catalog, files)
    try:
        return submission.accept(JobRequest(**asked), catalog)
    except InvalidRequest as error:
        placed = _with_place(form, error, files)
        raise parameter_fields.at_field(catalog[asked["model"]], form, placed) from None


def content(new: NewJob) -> bytes:
    """The same for the same job: all of it, with the digests of its media."""

    def short(medium: values.Medium) -> str:
        if isinstance(medium, values.Link):
            return medium.url
        return (values.digest(medium) if isinstance(medium, bytes) else medium.digest).hex()

    if not new.has_media:
        return msgspec.json.encode(new)
    return msgspec.json.encode(msgspec.structs.replace(new, inputs=values.changed(new.inputs, short)))


def errors(error: InvalidRequest, form: Mapping[str, str], catalog: ModelCatalog) -> dict[str, str]:
    """The error by the name of the field that has it; {} if no field has it."""
    if isinstance(error, UnknownModel):
        return {"model": str(error)}
    match (error.pointer or "").split("/"):
        case ["", "parameters", parameter, *_]:
            return {parameter_fields.PREFIX + parameter: str(error)}
        case ["", "inputs", *rest]:
            fields = input_fields.fields(catalog[form.get("model") or catalog.default.name])
            named = [field.name for field in fields if rest and field.part == rest[0]]
            if rest[-1:] == [input_fields.PAIR]:
                named = [input_fields.PREFIX + input_fields.PAIR]
            return {(named or [field.name for field in fields] or ["text"])[0]: str(error)}
    return {}


def _with_place(form: Mapping[str, str], error: InvalidRequest, files: Uploads) -> InvalidRequest:
    """An error about an input as an error about its place in the form."""
    match (error.pointer or "").split("/"):
        case ["", "inputs", *rest] if "text" not in form:
            sent = files.get(input_fields.FILE, ())
            index = int(rest[0]) if rest and rest[0].isdecimal() else 0
            place = f"{sent[index].filename or 'the file'}: " if index < len(sent) else ""
            return InvalidRequest(place + re.sub(r"^inputs[^:]*: ", "", str(error)), error.pointer)
        case ["", "inputs", *rest]:
            given = _given(form)
            index = int(rest[0]) if rest and rest[0].isdecimal() else 0
            place = f"{given[index][0]}: " if len(given) > 1 and rest and index < len(given) else ""
            return InvalidRequest(place + re.sub(r"^inputs[^:]*: ", "", str(error)), error.pointer)
    return error


def _parsed(where: str, text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        raise InvalidRequest(
            f'{where} is not valid JSON; a text needs quotes, as in "text"', pointer="/inputs"
        ) from None


def nonce(form: Mapping[str, str]) -> str | None:
    """The form's nonce, if it has a valid one."""
    given = form.get("nonce", "")
    return None if created_ms(given) is None else given


def context(catalog: ModelCatalog, form: Mapping[str, str]) -> dict[str, Any]:
    """The data of the form: the typed text, or the model's example if only an example was in the form."""
    spec = catalog.get(form.get("model", ""))
    before = catalog.specs.get(form.get("shown", ""))
    text, mode, parameters = _prefilled(spec)
    typed = form.get("text", "").replace("\r\n", "\n")
    if "text" in form and (before is None or typed != _prefilled(before)[0]):
        text, mode = typed, form.get("mode", "one")
    if form.keys() - {"model"} and (before is None or before is spec):
        parameters = dict(form)
    inputs = input_fields.fields(spec, parameters)
    return {
        "specs": list(catalog.specs.values()),
        "spec": spec,
        "text": text,
        "mode": mode,
        "inputs": inputs,
        "pair": input_fields.second_text(spec, parameters),
        "typed": {
            **{field.name: field.value for field in inputs if not field.is_media},
            **parameters,
            "model": spec.name,
            "text": text,
            "mode": mode,
        },
        "fields": parameter_fields.fields(spec, parameters),
        "errors": {},
        "fault": None,
    }


def _prefilled(spec: ModelSpec) -> tuple[str, str, dict[str, str]]:
    """The text, mode and parameters of the model's example, as they would be typed."""
    asked = example(spec)
    given = asked["inputs"] if isinstance(asked["inputs"], list) else [asked["inputs"]]
    texts = [each if isinstance(each, str) else msgspec.json.encode(each).decode() for each in given]
    if any("\n" in each for each in texts):  # in the mode `lines` it would be several inputs
        del texts[1:]
    return (
        "\n".join(texts),
        "lines" if len(texts) > 1 else "one",
        parameter_fields.typed(asked.get("parameters", {})),
    )
