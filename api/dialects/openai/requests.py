"""What requests of several of OpenAI's calls have in common: their model, and texts that may be token ids."""

import re

import msgspec
from msgspec import UNSET, UnsetType

from api.services import Services
from jobs.errors import InvalidRequest, UnknownModel
from jobs.models import ModelSpec

_texts = msgspec.json.Decoder(str | list[str])
_token_ids = re.compile(rb"\s*\[\s*(\[\s*)?-?\d")


def model_for(name: str | UnsetType | None, task: str, shared: Services, *, what: str) -> ModelSpec:
    """The model with that name or alias; without a name, the first model of the task.

    Raises InvalidRequest if it has another task; UnknownModel, also if no model has the task.
    """
    if name is None or name is UNSET:
        for spec in shared.catalog.specs.values():
            if spec.task == task:
                return spec
        raise UnknownModel(f"model: no model for {what} is served", pointer="/model")
    spec = shared.catalog[name]
    if spec.task != task:
        known = [each.name for each in shared.catalog.specs.values() if each.task == task]
        raise InvalidRequest(
            f"model: {spec.name} is a model for {spec.task} and not for {what}"
            + (f"; there {'are' if len(known) > 1 else 'is'} {', '.join(known)}" if known else ""),
            pointer="/model",
        )
    return spec


def texts_of(raw: msgspec.Raw, field: str) -> str | list[str]:
    """A text or a list of texts. Raises InvalidRequest; for token ids it says what to do."""
    try:
        found: str | list[str] = _texts.decode(raw)
    except msgspec.ValidationError:
        if _token_ids.match(bytes(memoryview(raw)[:64])):
            raise InvalidRequest(
                f"{field}: this server takes texts and no token ids; send the text itself"
                " (LangChain's OpenAIEmbeddings does with check_embedding_ctx_length=False)",
                pointer=f"/{field}",
            ) from None
        raise InvalidRequest(f"{field}: give a text or a list of texts", pointer=f"/{field}") from None
    except UnicodeDecodeError as error:
        raise InvalidRequest(f"the body is not valid JSON: {error}") from None
    return found
