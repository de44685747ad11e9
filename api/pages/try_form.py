"""The form of /try: parses it to one job, and fills it in with a model's example. No I/O.

The form sends the same request as the curl line beside it: one input, or a list with one input per line.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from api.pages import parameter_fields
from api.v1 import submission
from api.v1.model_schemas import example
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest, UnknownModel
from jobs.ledger.ids import created_ms
from jobs.models import ModelSpec
from jobs.schema import JobRequest, NewJob


def body(form: Mapping[str, str], catalog: ModelCatalog) -> dict[str, Any]:
    """The form as the body of `POST /v1/jobs`, not yet validated. Raises InvalidRequest.

    The inputs are kept, because the answers are shown beside them.
    """
    if "text" not in form:
        raise InvalidRequest("the form has no field named text", pointer="/inputs")
    spec = catalog[form.get("model") or catalog.default.name]
    given = _given(form)
    if not given:
        raise InvalidRequest("all lines are empty", pointer="/inputs")
    is_json = spec.definition.input.is_json
    inputs = [_parsed(where, text) if is_json else text for where, text in given]
    # a lone input is not put in a list, unless it is a list itself
    single = len(inputs) == 1 and not isinstance(inputs[0], list)
    parameters = parameter_fields.parameters(spec, form)
    asked = {"model": spec.name, "inputs": inputs[0] if single else inputs}
    return asked | ({"parameters": parameters} if parameters else {}) | {"keep_inputs": True}


def _given(form: Mapping[str, str]) -> list[tuple[str, str]]:
    """Each input's place in the form, and its text."""
    text = form["text"].replace("\r\n", "\n")
    if form.get("mode") != "lines":
        return [("the input", text)]
    return [(f"line {i}", line) for i, line in enumerate(text.split("\n"), 1) if line.strip()]


def job(form: Mapping[str, str], catalog: ModelCatalog) -> tuple[NewJob, dict[str, Any]]:
    """The form's job and the body that asks for it. Raises InvalidRequest about the form's fields."""
    asked = body(form, catalog)
    try:
        return submission.accept(msgspec.convert(asked, JobRequest), catalog), asked
    except InvalidRequest as error:
        raise parameter_fields.at_field(catalog[asked["model"]], form, _with_place(form, error)) from None


def errors(error: InvalidRequest) -> dict[str, str]:
    """The error by the name of the field that has it; {} if no field has it."""
    if isinstance(error, UnknownModel):
        return {"model": str(error)}
    match (error.pointer or "").split("/"):
        case ["", "parameters", parameter, *_]:
            return {parameter_fields.PREFIX + parameter: str(error)}
        case ["", "inputs", *_]:
            return {"text": str(error)}
    return {}


def _with_place(form: Mapping[str, str], error: InvalidRequest) -> InvalidRequest:
    """An error about an input as an error about its place in the form."""
    match (error.pointer or "").split("/"):
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
    if "text" in form and (before is None or before is spec):
        parameters = dict(form)
    return {
        "specs": list(catalog.specs.values()),
        "spec": spec,
        "text": text,
        "mode": mode,
        "typed": {**parameters, "model": spec.name, "text": text, "mode": mode},
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
