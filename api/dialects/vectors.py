"""Vectors of feature-extraction models, of which interfaces want one for each text."""

from collections.abc import Iterable
from typing import Any

import msgspec

from api.problems.problem import Refusal
from jobs.models import ModelSpec
from jobs.schema import Job


def pooled(spec: ModelSpec, parameters: dict[str, Any]) -> dict[str, Any]:
    """The parameters, so that each text gets one vector: as the model was trained, else its tokens' mean."""
    return parameters if "pooling" in spec.defaults else parameters | {"pooling": "auto"}


def are_of_tokens(outputs: Iterable[msgspec.Raw]) -> bool:
    """Whether an output has a vector for each token, as numbers or in base64."""
    return any(bytes(memoryview(each)[:2]) in (b"[[", b'["') for each in outputs)


def without_pooling(job: Job, kind: str, **extensions: Any) -> Refusal:
    """The refusal, of that kind, for a job whose outputs have a vector for each token."""
    return Refusal(
        kind,
        f"model {job.model!r} gives a vector for each token of a text; its defaults in models.toml need"
        " another pooling, such as mean",
        **extensions,
    )
