"""The engine's first step: turns a model's entry in `models.toml` into a warm pipeline with known cost."""

import logging
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import msgspec

from jobs.errors import ConfigurationError
from jobs.models import ModelSpec
from worker.engine import backends, dtypes, findings, pipelines, smoke, threads
from worker.engine.calibration import SLOW_TIME_LIMIT, TIME_LIMIT, calibrate
from worker.engine.dtypes import Choice
from worker.engine.findings import Findings, FindingsStore
from worker.engine.neighbours import Neighbours
from worker.engine.protocol import NO_BUDGET, Loaded
from worker.engine.samples import samples

logger = logging.getLogger(__name__)


def load(
    spec: ModelSpec, source: Path | None, cache_dir: Path | None
) -> tuple[pipelines.LoadedPipeline, Loaded]:
    """Loads the model, runs it once, and measures its cost unless an earlier start did.

    Raises ConfigurationError if the model cannot be served, or cannot run its example or its samples.
    """
    began = time.monotonic()
    count = threads.set_count(spec.threads)
    if spec.pipeline is None:
        threads.set_torch_threads(count)
    folder = findings.folder(cache_dir)
    store, neighbours = FindingsStore(folder), Neighbours(folder.parent if folder else None)
    key = findings.measurement_key(spec, source, count)
    known = store.load(key)
    choice = _fixed(spec)
    if known is not None:
        choice = Choice(known.dtype, known.why, backend=known.backend)
    alone = True
    if choice is None:
        with neighbours.measuring() as alone:
            pipeline, choice = _choose(spec, source)
    else:
        with neighbours.loading() if known is None else nullcontext():  # a restart waits for nobody
            pipeline = _load_again(spec, source, choice) if known else _load(spec, source, choice)
    smoke.run(spec, pipeline)
    step_ms = 0.0
    sample = samples(spec, pipeline)
    if sample[0]:
        if spec.example is not None:
            pipeline.run(*sample)
        step_ms = _step_ms(pipeline, sample)
    origin = "measured earlier"
    if known is None:
        with neighbours.measuring() as still_alone:
            alone = alone and still_alone
            time_limit, longest = (
                min(most, spec.load_timeout / 10) for most in (TIME_LIMIT, SLOW_TIME_LIMIT)
            )
            found = calibrate(
                pipeline, spec.max_batch_items, time_limit, sample=sample, longest=longest, alone=alone
            )
        settled = found.settled and choice.settled
        known = Findings(key, found.cost, choice.dtype, choice.why, choice.backend, settled)
        store.save(known)
        origin = "measured now"
    if not known.settled:
        origin += " on a busy machine"
    cost = known.cost
    if spec.token_budget is not None:
        cost, origin = msgspec.structs.replace(cost, budget=spec.token_budget), "as in models.toml"
    pipeline.budget = cost.budget
    limit = f"{cost.budget} ({origin})" if cost.budget < NO_BUDGET else "none"
    info = pipeline.info
    padding = "" if not info.tokenizes else "no padding, " if info.packs else "padding, "
    return pipeline, Loaded(
        info.device,
        info.dtype,
        info.max_length,
        info.tokenizer_file,
        time.monotonic() - began,
        cost,
        info.packs,
        count,
        f"budget {limit}, {padding}threads {count}" + (f", dtype {choice.why}" if choice.why else ""),
        step_ms,
        pipeline.new_tokens,
        dict(pipeline.defaults),
        pipelines.writes_files(spec, pipeline),
        info.unit_seconds,
        getattr(pipeline, "slots", 0),
        info.backend,
    )


def _fixed(spec: ModelSpec) -> Choice | None:
    """Returns the way to run the model if nothing is to be measured for it."""
    backend = backends.without_race(spec)
    if backend == "onnxruntime":
        return Choice("float32", "", backend=backend)
    return Choice(spec.dtype, "") if backend and spec.dtype != "auto" else None


def _choose(spec: ModelSpec, source: Path | None) -> tuple[pipelines.LoadedPipeline, Choice]:
    if spec.dtype == "auto":
        pipeline, choice = dtypes.choose(spec, source)
    else:
        choice = Choice(spec.dtype, "")
        pipeline = _load(spec, source, choice)
    return (
        (pipeline, choice) if backends.without_race(spec) else backends.choose(spec, source, pipeline, choice)
    )


def _load_again(spec: ModelSpec, source: Path | None, choice: Choice) -> pipelines.LoadedPipeline:
    """Loads what an earlier start chose; in torch if `auto` chose ONNX Runtime, and that fails now."""
    try:
        return _load(spec, source, choice)
    except ConfigurationError as error:
        if spec.backend != "auto" or choice.backend == "torch":
            raise
        logger.warning("%s; torch runs it until the next start", error)
        return _load(spec, source, Choice("float32", ""))


def _load(spec: ModelSpec, source: Path | None, choice: Choice) -> pipelines.LoadedPipeline:
    changed = {"dtype": choice.dtype, "backend": choice.backend}
    return pipelines.load(spec.model_copy(update=changed), source)


def _step_ms(pipeline: pipelines.LoadedPipeline, sample: tuple[list[Any], dict[str, Any]]) -> float:
    """Milliseconds of one generation step, prompts included; 0.0 if the task generates nothing."""
    if not pipeline.steps:
        return 0.0
    began = time.monotonic()
    pipeline.run(*sample)
    return 1000 * (time.monotonic() - began) / max(1, pipeline.steps)
