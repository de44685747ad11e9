"""Which model a request to a dialect is for, when the dialect has calls for some tasks only."""

from msgspec import UnsetType

from api.problems.problem import Refusal
from jobs.catalog import ModelCatalog
from jobs.errors import UnknownModel
from jobs.models import ModelSpec


def model_for(catalog: ModelCatalog, name: str | UnsetType | None, *tasks: str) -> ModelSpec:
    """The model with that name or alias; without a name the first in `models.toml` with one of the tasks.

    Raises UnknownModel; Refusal if the model has another task.
    """
    if not name:
        found = first(catalog, *tasks)
        if found is None:
            raise UnknownModel(f"no model with the task {_either(tasks)} is served", pointer="/model")
        return found
    spec = catalog[name]
    if spec.task not in tasks:
        known = [each.name for each in catalog.specs.values() if each.task in tasks]
        there = f"; there {'are' if len(known) > 1 else 'is'} {', '.join(known)}" if known else ""
        raise Refusal(
            "wrong-task",
            f"model {spec.name!r} has the task {spec.task}; this call needs {_either(tasks)}{there}",
            pointer="/model",
        )
    return spec


def first(catalog: ModelCatalog, *tasks: str) -> ModelSpec | None:
    """The first model in `models.toml` with one of the tasks. Adding a model after it changes nothing."""
    return next((spec for spec in catalog.specs.values() if spec.task in tasks), None)


def _either(tasks: tuple[str, ...]) -> str:
    *most, last = tasks
    return f"{', '.join(most)} or {last}" if most else last
