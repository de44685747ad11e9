"""Makes a job of a decoded request, whatever kind of body it had."""

from collections.abc import Mapping
from typing import Any

import msgspec

from api.edge.json_shape import check_shape
from api.v1.submission import large_json
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import JobRequest, NewJob, validate_request
from jobs.validation import explained

FIELDS = tuple(name for name in JobRequest.__struct_fields__ if name != "inputs")
"""What a request says about a job, other than its inputs."""


def accept(request: JobRequest, catalog: ModelCatalog) -> NewJob:
    """Checks a decoded request and returns its job. Raises InvalidRequest."""
    check_shape(request.inputs, "/inputs")
    check_shape(request.parameters, "/parameters")
    return validate_request(request, spec_of(request.model, catalog))


def spec_of(model: str | msgspec.UnsetType, catalog: ModelCatalog) -> ModelSpec:
    """The model with that name or alias, by default the first. Raises UnknownModel."""
    return catalog.default if model is msgspec.UNSET else catalog[model]


def described(given: Mapping[str, str]) -> JobRequest:
    """A request without inputs, from fields that are texts. Raises InvalidRequest."""
    fields: dict[str, Any] = dict(given)
    if "parameters" in fields:
        fields["parameters"] = _parameters(given["parameters"])
    if "webhook" in fields:
        fields["webhook"] = _webhook(given["webhook"])
    try:
        return msgspec.convert({"inputs": None, **fields}, JobRequest, strict=False)
    except msgspec.ValidationError as error:
        raise explained(error, JobRequest, "") from None


def _webhook(text: str) -> Any:
    """A webhook as JSON, or only its address."""
    if not text.lstrip().startswith("{"):
        return {"url": text}
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidRequest(f"webhook: not valid JSON: {reason}", pointer="/webhook") from None


def _parameters(text: str) -> dict[str, Any]:
    try:
        return large_json.decode_parameters(text.encode())
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else error
        raise InvalidRequest(f"parameters: not valid JSON: {reason}", pointer="/parameters") from None
