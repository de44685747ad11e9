"""Inputs and parameters of a usual job, to try a model and to measure it."""

from typing import Any

from jobs.models import ModelSpec
from worker.engine.pipelines import LoadedPipeline


def samples(spec: ModelSpec, pipeline: LoadedPipeline) -> tuple[list[Any], dict[str, Any]]:
    """Returns the pipeline's samples, if it has some, and the parameters of a job that sets none.

    Only the number of new tokens is not the job's, but a small one.
    """
    inputs, warm_up = pipeline.warm_up() or ([], {})
    short = {name: value for name, value in warm_up.items() if name == "max_new_tokens"}
    return inputs, {**warm_up, **pipeline.defaults, **spec.defaults, **short}
