"""`batchline check-models`: checks the models file and each model's files without loading models."""

import argparse
import sys
from collections.abc import Sequence
from importlib.machinery import PathFinder
from importlib.util import find_spec
from pathlib import Path

from jobs import checkpoints
from jobs.catalog import ModelCatalog, load_catalog
from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from jobs.process.programs import find_modules_in_current_folder
from jobs.settings import load_settings


def main(argv: Sequence[str] | None = None) -> int:
    """Prints one line per model. Returns the exit status: 1 if a model has a fault or the file is invalid."""
    arguments = _parser().parse_args(argv)
    try:
        catalog = load_catalog(arguments.file or load_settings().models_file)
    except ConfigurationError as error:
        print(f"batchline: {error}", file=sys.stderr)  # noqa: T201
        return 1
    faults = {spec.name: fault(catalog, spec) for spec in catalog.specs.values()}
    width = max(map(len, faults))
    for name, found in faults.items():
        state = f"FAULT  {found}" if found else f"ok     {describe(catalog, catalog[name])}"
        print(f"{name:{width}}  {state}")  # noqa: T201
    return 1 if any(faults.values()) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="batchline check-models",
        description="Check the models file and the files of its models, without loading them."
        " Exits with status 1 if something is wrong.",
    )
    parser.add_argument(
        "file", nargs="?", type=Path, help="the models file (default: BATCHLINE_MODELS_FILE or models.toml)"
    )
    return parser


def fault(catalog: ModelCatalog, spec: ModelSpec) -> str | None:
    """Returns why this model cannot be loaded, as far as its files show; None if no fault was found."""
    try:
        source = catalog.local_source(spec)
        if spec.held_out and not Path(spec.held_out).exists():
            return f"held_out: {spec.held_out} does not exist"
        if spec.pipeline:
            return _pipeline_fault(spec.pipeline)
        if source:
            return checkpoints.fault(source) or checkpoints.mismatch(
                checkpoints.read_config(source / checkpoints.CONFIG), spec.task
            )
    except ConfigurationError as error:
        return str(error).removeprefix(f"model {spec.name!r}: ")
    return None


def describe(catalog: ModelCatalog, spec: ModelSpec) -> str:
    """Describes the task or class and the source that would be loaded."""
    source = catalog.local_source(spec)
    what = spec.pipeline or spec.task
    if source:
        return f"{what} from {source}"
    if spec.source is None:
        return what
    cached = "in the hub's cache here" if _is_cached(spec) else "downloaded at the first start"
    return f"{what} from the hub, {spec.source} at {spec.revision}, {cached}"


def _is_cached(spec: ModelSpec) -> bool:
    try:
        from huggingface_hub import try_to_load_from_cache
    except ImportError:  # not installed if only the API runs here
        return False
    cached = try_to_load_from_cache(str(spec.source), checkpoints.CONFIG, revision=spec.revision)
    return isinstance(cached, str)


def _pipeline_fault(pipeline: str) -> str | None:
    """Returns a message if the class's module cannot be found, without running its code by an import."""
    find_modules_in_current_folder()
    name = pipeline.partition(":")[0]
    path, *inner = name.split(".")
    found = find_spec(path) if path else None
    for part in inner:
        path = f"{path}.{part}"
        found = PathFinder.find_spec(path, found.submodule_search_locations or []) if found else None
    return None if found else f"the module {name} is neither here nor in an installed package"


if __name__ == "__main__":
    sys.exit(main())
