"""The models as TEI would serve them, each on its own server: which one a path names, and its `/info`."""

from typing import Any

from starlette.requests import Request

from api.dialects.model_choice import model_for
from api.services import Services, services
from jobs.models import ModelSpec
from jobs.monitoring.roster import Heartbeat

EMBED, RANK, PREDICT, SIMILARITY = (
    "feature-extraction",
    "text-ranking",
    "text-classification",
    "sentence-similarity",
)
CALLS = {
    EMBED: ("embed", "similarity"),
    RANK: ("rerank",),
    PREDICT: ("predict",),
    SIMILARITY: ("similarity",),
}
"""TEI's calls for the models of each task, the one at its root first."""
TASKS = tuple(CALLS)
"""The tasks that TEI's calls are for."""


def model_of(request: Request, *tasks: str) -> ModelSpec:
    """The model that the path names; at the root the first with one of the tasks.

    Raises UnknownModel, or Refusal if the model has another task.
    """
    name = request.path_params.get("name", "").removesuffix("/")  # clients end an address with a slash
    return model_for(services(request).catalog, name, *tasks)


def info(spec: ModelSpec, shared: Services, beat: Heartbeat | None) -> dict[str, Any]:
    """`/info`. Null for what only the engine knows, and for a version of TEI. `beat` is of its worker."""
    return {
        "model_id": spec.name,
        "model_sha": spec.revision,
        "model_dtype": beat.dtype if beat and beat.dtype else spec.dtype,
        "model_type": _type(spec, beat),
        "max_concurrent_requests": shared.settings.max_queued_jobs,
        "max_input_length": None,
        "max_batch_tokens": (beat.budget if beat else 0) or spec.token_budget,
        "max_batch_requests": spec.max_batch_items,
        "max_client_batch_size": spec.max_inputs,
        "auto_truncate": True,
        "tokenization_workers": None,
        "version": None,
        "sha": None,
        "docker_label": None,
    }


def _type(spec: ModelSpec, beat: Heartbeat | None) -> dict[str, Any]:
    if spec.task in (EMBED, SIMILARITY):
        trained = beat.defaults if beat and beat.defaults else spec.trained_defaults
        return {"embedding": {"pooling": {**trained, **spec.defaults}.get("pooling")}}
    if spec.task == RANK:
        return {"reranker": {"id2label": {"0": "LABEL_0"}, "label2id": {"LABEL_0": 0}}}
    return {"classifier": {"id2label": {}, "label2id": {}}}  # the labels are in the model's files only
