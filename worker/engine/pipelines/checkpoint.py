"""Loads a model's files into memory; refuses what is missing, unsafe or unfit for the task."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars

from jobs import checkpoints, sentence_transformers
from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from jobs.sentence_transformers import Trained
from worker.engine.pipelines import hub
from worker.engine.pipelines.prepacked import prepack
from worker.engine.pipelines.quantized import quantize

_NO_LIMIT = 10**9
"""Tokenizers use 10**30 for an unknown maximum."""


@dataclass(frozen=True)
class Architecture:
    """What a task requires of a checkpoint."""

    model: Any
    """The class of transformers that loads the model."""
    head: str | tuple[str, ...] = ""
    """Required end of the architecture's name; weights for another head may have the same names and fit."""
    unread: tuple[str, ...] = ()
    """Prefixes of the names of weights that the task never reads; these may be missing."""
    processor: Any = transformers.AutoTokenizer
    """The class of transformers that loads the tokenizer or image processor."""


@dataclass(frozen=True)
class Checkpoint:
    """A model and its tokenizer or image processor, in memory; the model is on its device."""

    model: Any
    processor: Any
    device: torch.device
    max_length: int | None
    tokenizer_file: str | None
    trained: Trained
    """How the model was trained to be used, if its files say so."""
    missing: frozenset[str] = frozenset()
    """Weights that its files do not contain. The task does not read them, or not for every job."""


def open_checkpoint(spec: ModelSpec, source: Path | None, architecture: Architecture) -> Checkpoint:
    """Loads safetensors, and runs only code that the operator allows. Raises ConfigurationError."""
    _silence_libraries()
    device = _device(spec)
    integers = spec.dtype == "int8"
    if integers and device.type != "cpu":
        raise _refusal(spec, f"int8 runs only on the CPU; on {device} use bfloat16 or float16")
    if source is not None:
        _check_folder(spec, source)
    where = spec.source if source is None else str(source)
    local = source is not None or hub.from_cache(spec)
    options = {
        "revision": spec.revision if source is None else None,
        "trust_remote_code": spec.trust_remote_code,
        "local_files_only": local,
    }
    try:
        trained = _trained(spec, source, cached=local)
        processor: Any = architecture.processor.from_pretrained(where, **options)
        model, report = architecture.model.from_pretrained(
            where,
            dtype=torch.float32 if integers else getattr(torch, spec.dtype),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except sentence_transformers.Unsupported as error:
        raise _refusal(
            spec,
            f"{where}: {error}; to serve the vectors of its transformer anyway, set a pooling in the"
            ' models file, for example defaults = { pooling = "mean" }',
        ) from error
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise _refusal(spec, f"{where} cannot be loaded for {spec.task}: {reason}") from error
    has_tokens = architecture.processor is transformers.AutoTokenizer
    if has_tokens and len(processor) <= len(processor.all_special_tokens):
        raise _refusal(
            spec, f"the tokenizer of {where} has no words; check that tokenizer.json exists and is complete"
        )
    _check_architecture(spec, architecture, model.config.architectures or [], report["missing_keys"])
    max_length = _max_length(model, processor, trained.max_length) if has_tokens else None
    if max_length is not None:
        processor.model_max_length = max_length
    model = model.eval().to(device)
    if integers:
        with torch.inference_mode():
            model = quantize(model)
    elif device.type == "cpu" and not spec.trust_remote_code:
        with torch.inference_mode():
            model = prepack(model)
    tokenizer_file = _tokenizer_file(spec, source) if has_tokens else None
    missing = frozenset(report["missing_keys"])
    return Checkpoint(model, processor, device, max_length, tokenizer_file, trained, missing)


def _silence_libraries() -> None:
    # A server's log should not have progress bars or advice on generation flags.
    messages: Any = transformers.utils.logging
    messages.set_verbosity_error()
    messages.disable_progress_bar()
    disable_progress_bars()
    warnings.filterwarnings("ignore", category=UserWarning, module=r"transformers\.")


def _device(spec: ModelSpec) -> torch.device:
    name = spec.device or ("cuda" if torch.cuda.is_available() else "cpu")
    try:
        torch.empty(0, device=name)
        return torch.device(name)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).partition("\n")[0]
        raise _refusal(spec, f"device {name!r} cannot be used: {reason}") from error


def _check_folder(spec: ModelSpec, folder: Path) -> None:
    if fault := checkpoints.fault(folder):
        raise _refusal(spec, fault)


def _check_architecture(
    spec: ModelSpec, architecture: Architecture, names: list[str], missing: set[str]
) -> None:
    if names and not any(name.endswith(architecture.head) for name in names):
        raise _refusal(spec, f"{spec.source} was not trained for {spec.task}: it is a {names[0]}")
    # transformers would fill them with random numbers
    needed = sorted(name for name in missing if not name.startswith(architecture.unread))
    if needed:
        raise _refusal(
            spec, f"{spec.source} was not trained for {spec.task}: its files do not contain {needed[0]}"
        )


def _trained(spec: ModelSpec, source: Path | None, *, cached: bool) -> Trained:
    if spec.task not in sentence_transformers.TASKS:
        return Trained()
    folder = source if source is not None else hub.sentence_transformers_files(spec, cached=cached)
    return sentence_transformers.read(folder, spec.defaults) if folder is not None else Trained()


def _max_length(model: Any, tokenizer: Any, trained: int | None) -> int | None:
    limits = [] if trained is None else [trained]
    if tokenizer.model_max_length < _NO_LIMIT:
        limits.append(tokenizer.model_max_length)
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(positions - first_position(model))
    return min(limits, default=None)


def first_position(model: Any) -> int:
    """The number of a text's first position; RoBERTa and related models start after the padding's."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(module, "padding_idx", None)
            return 0 if padding is None else int(padding) + 1
    return 0


def has_length_dependent_rope(model: Any) -> bool:
    """Whether the longest text of a pass changes the rotary position embedding of all its texts."""
    parameters = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    ropes = [
        parameters,
        *(rope for rope in parameters.values() if isinstance(rope, dict)),
    ]  # for all layers, or for each kind
    return any(rope.get("rope_type") in ("dynamic", "longrope") for rope in ropes)


def _tokenizer_file(spec: ModelSpec, source: Path | None) -> str | None:
    name = "tokenizer.json"
    if source is not None:
        return str(source / name) if (source / name).is_file() else None
    cached = huggingface_hub.try_to_load_from_cache(str(spec.source), name, revision=spec.revision)
    return os.fspath(cached) if isinstance(cached, str) else None


def _refusal(spec: ModelSpec, reason: str) -> ConfigurationError:
    return ConfigurationError(f"model {spec.name!r}: {reason}")
