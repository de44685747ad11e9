"""POST /v1/moderations: the labels of a text-classification model as categories.

The model's `flagged_labels` in `models.toml` say which labels flag a text. Without them all labels do but
those with a harmless name, such as `neutral` or `not_toxic`.
"""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.dialects.json_bodies import decoded
from api.dialects.lines import as_reply, by_body, line_call
from api.dialects.model_choice import model_for
from api.dialects.openai import errors
from api.dialects.openai.description import MODERATIONS
from api.dialects.openai.text_inputs import texts_of
from api.dialects.synchronous import Synchronous
from api.edge.express import Direct
from api.problems.problem import Refusal
from jobs.catalog import ModelCatalog
from jobs.errors import InvalidRequest
from jobs.models import ModelSpec
from jobs.schema import Job, JobRequest, NewJob, validate_request

router = APIRouter(tags=["openai"], route_class=Direct)

THRESHOLD = 0.5
"""The lowest score with which a category applies to a text."""

HARMLESS = frozenset(
    (
        *("benign", "clean", "harmless", "ham", "neutral", "negative", "no", "none", "normal", "ok", "okay"),
        *("other", "positive", "safe"),
    )
)
HARMLESS_STARTS = ("no_", "no-", "no ", "non", "not_", "not-", "not ")
"""Labels with these names, or with names that begin so, do not flag a text by themselves."""


class ModerationRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    input: msgspec.Raw
    model: str | None = None


class Part(msgspec.Struct, frozen=True):
    """A part of a multimodal input; only texts are taken."""

    type: str
    text: str | None = None


class Label(msgspec.Struct, frozen=True):
    label: str
    score: float


_parts = msgspec.json.Decoder(list[Part])
_labels = msgspec.json.Decoder(list[Label])


def read(body: bytes | bytearray, catalog: ModelCatalog) -> tuple[NewJob, tuple[str, ...] | None]:
    """The job of a request, and the labels that flag a text. Raises InvalidRequest."""
    asked = decoded(body, ModerationRequest)
    spec = model_for(catalog, asked.model, "text-classification")
    with errors.renamed(inputs="input"):
        job = validate_request(JobRequest(inputs=_inputs(asked.input), parameters={"top_k": None}), spec)
    return job, _flagging(spec)


def answer(job: Job, outputs: list[msgspec.Raw], context: tuple[str, ...] | None) -> bytes:
    """The categories of each text, in the order of the texts. Raises Refusal if a score is not a number."""
    content = {
        "id": f"modr-{job.id}",
        "model": job.model,
        "results": [_result(_scored(output), context) for output in outputs],
    }
    return msgspec.json.encode(content)


def flags(label: str, flagged: tuple[str, ...] | None) -> bool:
    """Whether the label flags a text. `flagged` are the model's own; None if it declares none."""
    if flagged is not None:
        return label in flagged
    name = label.lower()
    return name not in HARMLESS and not name.startswith(HARMLESS_STARTS)


def _flagging(spec: ModelSpec) -> tuple[str, ...] | None:
    return None if spec.flagged_labels is None else tuple(spec.flagged_labels)


def _scored(output: msgspec.Raw) -> list[Label]:
    try:
        return _labels.decode(output)
    except msgspec.ValidationError:  # JSON shows a score that is not a number as null
        raise Refusal("job-failed", "the score of a label is not a number") from None


def _result(labels: list[Label], flagged: tuple[str, ...] | None) -> dict[str, Any]:
    applies = {each.label: each.score >= THRESHOLD for each in labels}
    return {
        "flagged": any(applied and flags(label, flagged) for label, applied in applies.items()),
        "categories": applies,
        "category_scores": {each.label: each.score for each in labels},
        "category_applied_input_types": {label: ["text"] for label in applies},
    }


def _inputs(raw: msgspec.Raw) -> str | list[str]:
    """The texts. A list of parts is one input, whose texts are read together."""
    try:
        parts = _parts.decode(raw)
    except msgspec.ValidationError:
        return texts_of(raw, "input")
    except UnicodeDecodeError as error:  # found only here, because a Raw is not decoded with the body
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    if not parts:
        return []
    texts = [part.text for part in parts if part.type == "text" and part.text is not None]
    if len(texts) < len(parts):
        raise InvalidRequest("input: only parts with a text are taken, no images", pointer="/input")
    return "\n".join(texts)


CALL = Synchronous(by_body(read), as_reply(answer))
LINE = line_call("/v1/moderations", read, answer, errors.refused)


@router.post("/v1/moderations", **MODERATIONS)
async def create_moderation(request: Request) -> Response:
    """Classifies texts, as OpenAI's interface does, with the labels of a text-classification model."""
    return await CALL.run(request)
