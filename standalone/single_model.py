"""`batchline serve SOURCE`: one model from a checkpoint's folder or a hub id, without a models file.

The children read the model from a temporary models file in the data folder.
"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

from pydantic import ValidationError

from jobs import checkpoints, tasks
from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from jobs.settings import Settings
from standalone import hub

HUB_ID = re.compile(r"\w[\w.-]*(/\w[\w.-]*)?")


def describe(source: str, *, task: str = "", name: str = "", revision: str = "") -> ModelSpec:
    """Returns the model in this folder or with this hub id; reads omitted values from its files.

    Raises ConfigurationError with one sentence if it cannot be served or its task is unknown.
    """
    path = Path(source).expanduser()
    if path.exists():
        if revision:
            raise ConfigurationError(f"{source} is a folder; --revision is for a model from the hub")
        found = _from_folder(path.resolve(), task)
    elif HUB_ID.fullmatch(source):
        found = _from_hub(source, task, revision)
    else:
        raise ConfigurationError(f"{path} does not exist")
    try:
        return ModelSpec.model_validate({**found, "name": name or _name(found["source"])})
    except ValidationError as error:
        fault = error.errors()[0]
        option = f"--{fault['loc'][0]} {fault['input']!r}: " if fault["loc"] else ""
        raise ConfigurationError(option + fault["msg"].removeprefix("Value error, ")) from None


@contextlib.contextmanager
def models_file(spec: ModelSpec, settings: Settings) -> Iterator[Path]:
    """Creates a models file with only this model. The port makes its name unique among running instances."""
    folder = settings.data_dir.expanduser().resolve()
    path = folder / f"models-{settings.port}.toml"
    given = spec.model_dump(include={"task", "source", "revision"}, exclude_none=True)
    lines = [f'[models."{spec.name}"]', *(f"{key} = {_quoted(value)}" for key, value in given.items())]
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    except OSError as error:
        raise ConfigurationError(f"BATCHLINE_DATA_DIR: cannot write to {folder}: {error.strerror}") from None
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)


def _from_folder(folder: Path, task: str) -> dict[str, str]:
    if folder.suffix == ".toml" and folder.is_file():
        raise ConfigurationError(f"{folder} is a models file; serve it with BATCHLINE_MODELS_FILE={folder}")
    if fault := checkpoints.fault(folder):
        raise ConfigurationError(fault)
    config = checkpoints.read_config(folder / checkpoints.CONFIG)
    vectors = (folder / checkpoints.MODULES).is_file()
    return {
        "source": str(folder),
        "task": task or _task(str(folder), config, sentence_vectors=vectors),
    }


def _from_hub(hub_id: str, task: str, revision: str) -> dict[str, str]:
    found = hub.look_up(hub_id, revision)
    return {
        "source": hub_id,
        "revision": found.revision,
        "task": task or _task(hub_id, found.config, sentence_vectors=found.sentence_vectors),
    }


def _task(source: str, config: dict[str, object], *, sentence_vectors: bool) -> str:
    try:
        return checkpoints.task_of(config, sentence_vectors=sentence_vectors)
    except ConfigurationError as error:
        raise ConfigurationError(
            f"{source}: {error}; set one with --task: {', '.join(tasks.TASKS)}"
        ) from None


def _name(source: str) -> str:
    """Returns the folder's name, or the hub id's last part, converted to a valid model name."""
    name = re.sub(r"[^a-z0-9._-]+", "-", Path(source).name.lower()).lstrip("._-")
    return name[:63].rstrip("-") or "model"


def _quoted(text: str) -> str:
    """Returns the text as a TOML string; JSON's escapes are valid in TOML, except for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
