"""Looks up a model on the Hugging Face hub: its commit and its config.json, within seconds."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jobs import checkpoints
from jobs.errors import ConfigurationError

TIMEOUT = 5.0
"""Most seconds to wait for the hub's answer; there is no retry."""


@dataclass(frozen=True)
class HubModel:
    """A model at one commit, so that every restart loads the same files."""

    revision: str
    config: dict[str, Any]
    sentence_vectors: bool
    """Whether it has a `modules.json`."""


def look_up(hub_id: str, revision: str = "") -> HubModel:
    """Asks the hub, or uses its cache on this machine if the hub does not answer.

    `revision`: a branch, tag or commit, by default the main branch. Raises ConfigurationError.
    """
    try:
        from huggingface_hub import errors
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError:
        raise ConfigurationError(
            f"{hub_id} is not a folder here, and asking the hub needs huggingface_hub, which is not installed"
        ) from None
    disable_progress_bars()
    try:
        return _from_hub(hub_id, revision or None)
    except errors.GatedRepoError:
        raise ConfigurationError(
            f"{hub_id} is gated; request access on its hub page and set HF_TOKEN"
        ) from None
    except errors.RevisionNotFoundError:
        raise ConfigurationError(f"{hub_id} has no revision {revision} on the hub") from None
    except errors.RepositoryNotFoundError:
        raise ConfigurationError(
            f"{hub_id} is neither a folder here nor a public model on the hub; for a private one set HF_TOKEN"
        ) from None
    except ConfigurationError:
        raise
    except errors.HFValidationError:
        raise ConfigurationError(f"{hub_id} does not exist") from None
    except Exception as error:  # any error of the client's HTTP library
        if found := _from_cache(hub_id, revision or None):
            return found
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise ConfigurationError(
            f"{hub_id} is not a folder here, and the hub cannot be reached: {reason}"
        ) from None


def _from_hub(hub_id: str, revision: str | None) -> HubModel:
    from huggingface_hub import HfApi, hf_hub_download

    info = HfApi().model_info(hub_id, revision=revision, timeout=TIMEOUT)
    files = {each.rfilename for each in info.siblings or []}
    if checkpoints.CONFIG not in files:
        raise ConfigurationError(f"{hub_id} has no {checkpoints.CONFIG}")
    if not any(name.endswith(".safetensors") for name in files):
        raise ConfigurationError(f"{hub_id} has no .safetensors file")
    # by the branch's name, so that the cache has its commit for a later start without the hub
    path = Path(hf_hub_download(hub_id, checkpoints.CONFIG, revision=revision))
    commit = path.parent.name
    if vectors := checkpoints.MODULES in files:
        hf_hub_download(hub_id, checkpoints.MODULES, revision=commit)
    return HubModel(commit, checkpoints.read_config(path), vectors)


def _from_cache(hub_id: str, revision: str | None) -> HubModel | None:
    """Returns the model from the hub's cache on this machine; None if it was never loaded here."""
    from huggingface_hub import try_to_load_from_cache

    config = try_to_load_from_cache(hub_id, checkpoints.CONFIG, revision=revision)
    if not isinstance(config, str):
        return None
    vectors = try_to_load_from_cache(hub_id, checkpoints.MODULES, revision=revision)
    path = Path(config)
    return HubModel(path.parent.name, checkpoints.read_config(path), isinstance(vectors, str))
