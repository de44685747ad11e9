"""Runs a loaded model once, as a job would: a fault then shows at the start, not in each job."""

import logging

from jobs.errors import ConfigurationError, InvalidRequest
from jobs.inputs import admit_inputs
from jobs.models import ModelSpec
from worker.engine import pipelines
from worker.engine.pipelines.files import FileLinks
from worker.engine.samples import samples

logger = logging.getLogger(__name__)


def run(spec: ModelSpec, pipeline: pipelines.LoadedPipeline) -> None:
    """Runs the model's `example`, or its samples, through all steps and encodes the outputs.

    A class with neither is not run. Raises ConfigurationError with the pipeline's error, and MemoryError.
    """
    inputs, parameters = samples(spec, pipeline)
    if spec.example is not None:
        example, _ = admit_inputs(spec.example, spec)
        inputs = example if isinstance(example, list) else [example]
    if not inputs:
        return
    try:
        outputs = pipeline.run(inputs, parameters)
        for output in outputs:
            if isinstance(output, InvalidRequest):
                raise output
            pipelines.encode_output(
                output, FileLinks("/") if pipelines.writes_files(spec, pipeline) else None
            )
    except MemoryError:
        raise
    except Exception as error:
        what = "its example" if spec.example is not None else "its samples"
        if spec.pipeline is not None:
            logger.exception("model %s: a first run of %s failed", spec.name, what)
        reason = f"{type(error).__name__}: {error}".strip().partition("\n")[0]
        raise ConfigurationError(
            f"model {spec.name!r}: a first run of {what} failed with {reason}"
        ) from error
