"""A model's files on their way into memory: what is missing, unsafe or unfit for the task is refused here."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import huggingface_hub
import torch
import transformers
from huggingface_hub.utils.tqdm import disable_progress_bars

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from worker.engine.pipelines.quantized import quantize

_MODEL_CLASSES: dict[str, Any] = {
    "text-classification": transformers.AutoModelForSequenceClassification,
    "token-classification": transformers.AutoModelForTokenClassification,
    "zero-shot-classification": transformers.AutoModelForSequenceClassification,
    "feature-extraction": transformers.AutoModel,
    "fill-mask": transformers.AutoModelForMaskedLM,
    "text-generation": transformers.AutoModelForCausalLM,
}
_HEADS = {
    "text-classification": "ForSequenceClassification",
    "token-classification": "ForTokenClassification",
    "zero-shot-classification": "ForSequenceClassification",
}
"""How the architecture's name ends. Their weights may have the same names and fit each other's models."""
_NO_LIMIT = 10**9
"""Tokenizers say 10**30 where they know of no maximum."""


@dataclass(frozen=True)
class Checkpoint:
    """A model and its tokenizer, in memory and on their device."""

    model: Any
    tokenizer: Any
    device: torch.device
    max_length: int | None
    tokenizer_file: str | None


def open_checkpoint(spec: ModelSpec, source: Path | None) -> Checkpoint:
    """Loads safetensors, and nothing that is not the operator's will. Raises ConfigurationError."""
    _be_quiet()
    device = _device(spec)
    integers = spec.dtype == "int8"
    if integers and device.type != "cpu":
        raise _refusal(spec, f"int8 is for the CPU; on {device} use bfloat16 or float16")
    if source is not None:
        _check_folder(spec, source)
    where = spec.source if source is None else str(source)
    options = {
        "revision": spec.revision if source is None else None,
        "trust_remote_code": spec.trust_remote_code,
        "local_files_only": source is not None,
    }
    try:
        tokenizer: Any = transformers.AutoTokenizer.from_pretrained(where, **options)
        model, report = _MODEL_CLASSES[spec.task].from_pretrained(
            where,
            dtype=torch.float32 if integers else getattr(torch, spec.dtype),
            use_safetensors=True,
            output_loading_info=True,
            **options,
        )
    except Exception as error:
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise _refusal(spec, f"{where} cannot be loaded for {spec.task}: {reason}") from error
    if len(tokenizer) <= len(tokenizer.all_special_tokens):
        raise _refusal(spec, f"the tokenizer of {where} knows no words; is tokenizer.json there, and whole?")
    _check_architecture(spec, model.config.architectures or [], report["missing_keys"])
    max_length = _max_length(model, tokenizer)
    if max_length is not None:
        tokenizer.model_max_length = max_length
    model = model.eval().to(device)
    if integers:
        with torch.inference_mode():
            model = quantize(model)
    return Checkpoint(model, tokenizer, device, max_length, _tokenizer_file(spec, source))


def _be_quiet() -> None:
    # A server's log has no use for progress bars and for advice on generation flags.
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
    if not folder.is_dir():
        raise _refusal(spec, f"{folder} is not a folder with a model's files")
    if not (folder / "config.json").is_file():
        raise _refusal(spec, f"{folder} has no config.json")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(folder.glob("*.bin"))
        hint = f"; {pickled[0].name} is pickle, which is never loaded" if pickled else ""
        raise _refusal(spec, f"{folder} has no .safetensors file{hint}")


def _check_architecture(spec: ModelSpec, architectures: list[str], missing: set[str]) -> None:
    head = _HEADS.get(spec.task, "")
    if architectures and not any(name.endswith(head) for name in architectures):
        raise _refusal(spec, f"{spec.source} was not trained for {spec.task}: it is a {architectures[0]}")
    # transformers would fill them with random numbers. Only feature-extraction never reads the pooler.
    unread = ("pooler.",) if spec.task == "feature-extraction" else ()
    needed = sorted(name for name in missing if not name.startswith(unread))
    if needed:
        raise _refusal(spec, f"{spec.source} was not trained for {spec.task}: its files hold no {needed[0]}")


def _max_length(model: Any, tokenizer: Any) -> int | None:
    limits = [tokenizer.model_max_length] if tokenizer.model_max_length < _NO_LIMIT else []
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        limits.append(positions - first_position(model))
    return min(limits, default=None)


def first_position(model: Any) -> int:
    """The number of a text's first position; RoBERTa and its kin begin after the padding's."""
    for name, module in model.named_modules():
        if name.endswith("position_embeddings"):
            padding = getattr(module, "padding_idx", None)
            return 0 if padding is None else int(padding) + 1
    return 0


def has_length_dependent_rope(model: Any) -> bool:
    """Whether the longest text of a pass changes how positions turn the states of all, as some ropes do."""
    told = getattr(model.config.get_text_config(), "rope_parameters", None) or {}
    ropes = [
        told,
        *(rope for rope in told.values() if isinstance(rope, dict)),
    ]  # of all layers, or of each kind
    return any(rope.get("rope_type") in ("dynamic", "longrope") for rope in ropes)


def _tokenizer_file(spec: ModelSpec, source: Path | None) -> str | None:
    name = "tokenizer.json"
    if source is not None:
        return str(source / name) if (source / name).is_file() else None
    cached = huggingface_hub.try_to_load_from_cache(str(spec.source), name, revision=spec.revision)
    return os.fspath(cached) if isinstance(cached, str) else None


def _refusal(spec: ModelSpec, reason: str) -> ConfigurationError:
    return ConfigurationError(f"model {spec.name!r}: {reason}")
