"""Outputs of jobs in the form of TEI's answers."""

import base64
from array import array
from collections.abc import Sequence
from operator import mul
from typing import Any

import msgspec

from api.dialects import ranking
from api.dialects.vectors import are_of_tokens, without_pooling
from jobs.schema import Job

_vectors = msgspec.json.Decoder(str)


def vectors(job: Job, outputs: Sequence[msgspec.Raw]) -> bytes:
    """`/embed`: a list of vectors."""
    if are_of_tokens(outputs):
        raise without_pooling(job, "job-failed")
    return _joined(outputs)


def ranks(outputs: Sequence[msgspec.Raw]) -> list[dict[str, Any]]:
    """`/rerank`: index and score of each text, best first."""
    return [
        {"index": each.index, "score": each.score}
        | ({} if each.document is None else {"text": each.document})
        for each in ranking.best_first(msgspec.json.decode(output) for output in outputs)
    ]


def predictions(outputs: Sequence[msgspec.Raw], single: bool) -> bytes:
    """`/predict`: all labels with their scores, the best first; a list of these if there were several."""
    return bytes(outputs[0]) if single else _joined(outputs)


def similarities(job: Job, outputs: Sequence[msgspec.Raw]) -> bytes:
    """`/similarity`: the cosine of each sentence's vector with that of the source sentence."""
    if job.counts.total == 1:  # sentence-similarity has computed them
        return bytes(outputs[0])
    try:
        source, *others = (_floats(_vectors.decode(each)) for each in outputs)
    except msgspec.ValidationError:
        raise without_pooling(job, "job-failed") from None
    return msgspec.json.encode([sum(map(mul, source, other)) for other in others])


def _floats(encoded: str) -> "array[float]":
    """The numbers of a vector, which are little-endian float32 in base64."""
    found = array("f")
    found.frombytes(base64.b64decode(encoded))
    return found


def _joined(outputs: Sequence[msgspec.Raw]) -> bytes:
    return b"[" + b",".join(map(bytes, outputs)) + b"]"
