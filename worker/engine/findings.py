"""FindingsStore: measurements of models on disk, so that a restarted engine does not repeat them.

One small JSON file for each model, device and way to run it, in `<cache_dir>/findings/`. The files may be
deleted at any time.
"""

import contextlib
import hashlib
import logging
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from jobs.models import ModelSpec
from worker.engine import held_out
from worker.engine.pipelines.text.onnx import extra
from worker.engine.protocol import Cost

logger = logging.getLogger(__name__)

FORMAT = 7
"""Part of every key; to be increased when what is measured, or how, changes."""


UNSETTLED_LIFETIME = 3600.0
"""Seconds for which findings of a busy machine are used."""


class Findings(msgspec.Struct, frozen=True):
    """The results of a first start."""

    key: dict[str, Any]
    cost: Cost
    """As measured; the budget is not the operator's."""
    dtype: str
    why: str
    backend: str = "torch"
    settled: bool = True
    """False: the machine was too busy. A restart uses the result; a later start measures again."""


class FindingsStore:
    """Files in a folder; disabled if the folder cannot be written."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def load(self, key: dict[str, Any]) -> Findings | None:
        """Returns the findings with exactly this key, or None."""
        if self._folder is None:
            return None
        try:
            file = self._file(self._folder, key)
            found = msgspec.json.decode(file.read_bytes(), type=Findings)
            age = time.time() - file.stat().st_mtime
        except (OSError, ValueError):  # includes msgspec's errors and invalid UTF-8
            return None
        valid = found.key == key and found.cost.budget > 0 and (found.settled or age < UNSETTLED_LIFETIME)
        return found if valid else None

    def save(self, findings: Findings) -> None:
        """Writes the findings atomically for the next start; other processes may write them too."""
        if self._folder is None:
            return
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._folder, delete=False) as file:
                try:
                    file.write(msgspec.json.format(msgspec.json.encode(findings)))
                    file.close()
                    Path(file.name).replace(self._file(self._folder, findings.key))
                except BaseException:
                    with contextlib.suppress(OSError):
                        Path(file.name).unlink()
                    raise
        except OSError as error:
            logger.warning(
                "%s cannot be written (%s): each start of an engine measures again", self._folder, error
            )

    @staticmethod
    def _file(folder: Path, key: dict[str, Any]) -> Path:
        digest = hashlib.sha256(msgspec.json.encode(key, order="deterministic")).hexdigest()
        return folder / f"{digest[:32]}.json"


def folder(cache_dir: Path | None) -> Path | None:
    """Returns the folder of the findings for this setting; None without a home directory."""
    try:
        base = cache_dir or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "batchline"
        return base.expanduser() / "findings"
    except RuntimeError:  # no home directory
        return None


def measurement_key(spec: ModelSpec, source: Path | None, threads: int) -> dict[str, Any]:
    """Returns everything that a measurement depends on, as JSON."""
    settings = spec.model_dump(
        mode="json",
        include={
            "task",
            "pipeline",
            "options",
            "source",
            "revision",
            "dtype",
            "backend",
            "device",
            "max_batch_items",
            "defaults",
        },
    )
    if spec.pipeline is not None and spec.example is not None:  # what a built-in task measures is its own
        settings["example"] = spec.model_dump(mode="json", include={"example"})["example"]
    files = [*_files(source), *_files(_module(spec))]
    if spec.dtype == "auto" or (spec.backend == "auto" and extra.can_race(spec)):
        files += held_out.files(spec)
        # the result may be that time or memory ran out
        settings |= spec.model_dump(mode="json", include={"load_timeout", "memory_limit", "token_budget"})
    return {
        "format": FORMAT,
        **settings,
        "files": [[str(file), *_stamp(file)] for file in files],
        "threads": threads,
        "processors": _processors(),
        "visible": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "torch": _version("torch"),
        "transformers": _version("transformers"),
        "onnxruntime": extra.installed_version() if spec.definition.onnx else "",
    }


def _files(path: Path | None) -> Iterator[Path]:
    if path is not None and path.is_file():
        yield path
    elif path is not None and path.is_dir():
        yield from sorted(file for file in path.iterdir() if file.is_file())


def _module(spec: ModelSpec) -> Path | None:
    """The source file of a custom pipeline."""
    if spec.pipeline is None:
        return None
    try:
        found = find_spec(spec.pipeline.partition(":")[0])
    except (ImportError, ValueError):
        return None
    return Path(found.origin) if found and found.origin else None


def _stamp(file: Path) -> tuple[int, int]:
    status = file.stat()
    return status.st_size, status.st_mtime_ns


def _processors() -> list[str]:
    """Returns the first processor's name and flags, which a virtual machine may hide, and the GPUs."""
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if cpuinfo.exists() else []
    flags = [line.partition(":")[2].strip() for line in lines if line.startswith(("model name", "flags"))]
    cards = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information"))
    models = [card.read_text(encoding="utf-8").partition("Model:")[2].partition("\n")[0] for card in cards]
    return [*(flags or [platform.processor() or platform.machine()]), *map(str.strip, models)]


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
