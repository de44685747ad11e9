"""Models of the hub: whether a model is loaded from the cache, and the files beside its weights.

The hub is asked once, with a time limit and no retry: transformers would request one file after the other and
retry each, for minutes. A failure is reported in one sentence.
"""

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import huggingface_hub
import msgspec
from huggingface_hub import constants, errors

from jobs import sentence_transformers
from jobs.errors import ConfigurationError
from jobs.models import ModelSpec

logger = logging.getLogger(__name__)

TIMEOUT = 5.0
"""Seconds until the hub counts as unreachable, for connecting and for answering separately."""

_COMMIT = re.compile(r"[0-9a-f]{40}")
_PROCESSORS = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "tokenizer.model",
    "spiece.model",
    "sentencepiece.bpe.model",
    "preprocessor_config.json",
    "processor_config.json",
)
"""Each model has at least one of these files, which turn its inputs into numbers."""


def from_cache(spec: ModelSpec) -> bool:
    """Whether the model is to be loaded from the cache only; otherwise the hub has just answered.

    Raises ConfigurationError if the model is neither in the cache nor on a reachable hub.
    """
    if _COMMIT.fullmatch(spec.revision or "") and not spec.trust_remote_code and _complete(spec):
        return True
    reason = _ask_hub(spec)
    if reason is None:
        return False
    if _weights(spec):
        logger.warning("model %s: %s; the files in the cache are used", spec.name, reason)
        return True
    raise ConfigurationError(
        f"model {spec.name!r}: {spec.source} is not in the cache, and {reason}; set a local folder as its"
        " source, a cache that has the model (HF_HOME), or a mirror of the hub (HF_ENDPOINT)"
    )


def sentence_transformers_files(spec: ModelSpec, *, cached: bool) -> Path | None:
    """Returns a folder with the model's files for sentence-transformers; None if it has none.

    Raises Unsupported, and what huggingface_hub raises if a download fails.
    """
    modules = _fetched(spec, sentence_transformers.MODULES, cached=cached)
    if modules is None:
        return None
    for name in sentence_transformers.names(modules.parent):
        _fetched(spec, name, cached=cached)
    return modules.parent


def _fetched(spec: ModelSpec, name: str, *, cached: bool) -> Path | None:
    try:
        return Path(
            huggingface_hub.hf_hub_download(
                str(spec.source), name, revision=spec.revision, local_files_only=cached, etag_timeout=TIMEOUT
            )
        )
    except errors.EntryNotFoundError:
        return None


def _ask_hub(spec: ModelSpec) -> str | None:
    """Asks the hub for the model; returns None or why the hub failed. Raises ConfigurationError."""
    if constants.is_offline_mode():
        return "HF_HUB_OFFLINE forbids requests to the hub"
    url = huggingface_hub.hf_hub_url(str(spec.source), "config.json", revision=spec.revision)
    try:
        huggingface_hub.get_hf_file_metadata(url, timeout=TIMEOUT)
    except errors.RemoteEntryNotFoundError:
        refused = f"{spec.source} has no config.json"
    except errors.RevisionNotFoundError:
        refused = f"{spec.source} has no revision {spec.revision}"
    except errors.GatedRepoError:
        refused = f"{spec.source} is gated: request access on its page, and set a token in HF_TOKEN"
    except errors.RepositoryNotFoundError:
        refused = (
            f"the hub {constants.ENDPOINT} has no model {spec.source}, or requires a token for it (HF_TOKEN)"
        )
    except errors.HfHubHTTPError as error:
        status = error.response.status_code
        token = ", so HF_TOKEN may be missing or wrong" if status in (401, 403) else ""
        return f"the hub {constants.ENDPOINT} answered {status}{token}"
    except Exception as error:
        what = str(error).strip().partition("\n")[0] or type(error).__name__
        return f"the hub {constants.ENDPOINT} cannot be reached ({what})"
    else:
        return None
    raise ConfigurationError(f"model {spec.name!r}: {refused}")


def _complete(spec: ModelSpec) -> bool:
    """Whether all files that loading needs are in the cache."""
    if not _weights(spec) or not any(_cached(spec, name) for name in _PROCESSORS):
        return False
    if spec.task not in sentence_transformers.TASKS:
        return True
    found = _lookup(spec, sentence_transformers.MODULES)
    if not isinstance(found, str):
        return found is not None  # known not to exist
    try:
        needed = sentence_transformers.names(Path(found).parent)
    except sentence_transformers.Unsupported:
        return False
    return all(_lookup(spec, name) is not None for name in needed)


def _weights(spec: ModelSpec) -> bool:
    """Whether the configuration and all of the weights are in the cache."""
    if _cached(spec, "config.json") is None:
        return False
    if _cached(spec, "model.safetensors"):
        return True
    index = _cached(spec, "model.safetensors.index.json")
    return index is not None and all(_cached(spec, name) for name in _shards(index))


def _shards(index: Path) -> Sequence[str]:
    try:
        content: dict[str, Any] = msgspec.json.decode(index.read_bytes(), type=dict[str, Any])
        return sorted(set(content["weight_map"].values()))
    except (OSError, ValueError, KeyError, AttributeError):
        return ["its index cannot be read"]


def _cached(spec: ModelSpec, name: str) -> Path | None:
    found = _lookup(spec, name)
    return Path(found) if isinstance(found, str) else None


def _lookup(spec: ModelSpec, name: str) -> Any:
    """Returns the file's path in the cache, another value if it is known not to exist, None if unknown."""
    return huggingface_hub.try_to_load_from_cache(str(spec.source), name, revision=spec.revision)
