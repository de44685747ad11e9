"""/v1/models: the served models, what each accepts, its workers. `jobs/models.py` reads the models file."""

from typing import Any

from fastapi import APIRouter, Depends
from starlette.responses import Response

from api.dialect import Dialects
from api.health.roster_cache import SERVING
from api.services import Asking, Shared
from api.v1 import query
from api.v1.model_schemas import parameters_schema, request_schema
from api.v1.openapi import MODELS
from api.v1.replies import reply
from api.v1.schemas import (
    Model,
    ModelDialect,
    ModelFailure,
    ModelLimits,
    ModelList,
    ModelObject,
    ModelQueue,
    ModelWorker,
)
from jobs.catalog import modified
from jobs.ledger.shard import Depth
from jobs.models import ModelSpec
from jobs.monitoring.failures import newest
from jobs.monitoring.roster import Heartbeat
from jobs.problem_kinds import TYPE
from jobs.schema import from_ms

router = APIRouter(tags=["models"], dependencies=[Depends(query.check_declared)])


@router.get("/v1/models", **MODELS)
async def list_models(shared: Shared, caller: Asking) -> Response:
    """Lists the served models, the default one first, with what each accepts and which workers serve it."""
    depths = await shared.ledger.shards.depth()
    workers = await shared.roster.workers()
    catalog = shared.catalog
    created = modified(shared.settings.models_file)
    return reply(
        ModelList(
            object="list",
            data=[ModelObject(name, "model", created, "batchline") for name in catalog.specs],
            models=[
                _described(
                    spec,
                    spec is catalog.default,
                    depths[name],
                    [beat for beat in workers if beat.model == name],
                    shared.settings.longest_result_ttl,
                    shared.dialects,
                    everything=caller.sees is None,
                )
                for name, spec in catalog.specs.items()
            ],
        )
    )


def _described(
    spec: ModelSpec,
    default: bool,
    depth: Depth,
    workers: list[Heartbeat],
    longest_result_ttl: float,
    dialects: Dialects,
    *,
    everything: bool,
) -> Model:
    """`everything`: with the figures of all owners' jobs, the workers, and why inputs failed."""
    shown = workers if everything else []
    return Model(
        name=spec.name,
        aliases=spec.aliases,
        description=spec.description,
        task=spec.task,
        default=default,
        input=spec.definition.input.name,
        parameters=parameters_schema(spec),
        defaults=defaults_of(spec, workers),
        request=request_schema(spec, default=default, longest_result_ttl=longest_result_ttl),
        limits=_limits(spec),
        dialects=[ModelDialect(each.name, list(calls)) for each, calls in dialects.for_model(spec)],
        ready=any(beat.engine in SERVING for beat in workers),
        queue=ModelQueue(depth.waiting + depth.deferred, depth.running) if everything else None,
        workers=[
            ModelWorker(
                id=beat.id,
                state=beat.engine,
                device=beat.device,
                dtype=beat.dtype,
                backend=beat.backend,
                items_per_second=round(beat.items_per_second, 1),
            )
            for beat in shown
        ],
        failures=[
            ModelFailure(
                TYPE + reason.kind,
                reason.title,
                reason.detail,
                reason.inputs,
                reason.job,
                from_ms(int(reason.at * 1000)),
            )
            for reason in newest([reason for beat in shown for reason in beat.failures])
        ],
    )


def defaults_of(spec: ModelSpec, workers: list[Heartbeat]) -> dict[str, Any]:
    """Parameters of a job that gives none: from the model's files, overridden by `models.toml`."""
    trained = next((beat.defaults for beat in workers if beat.defaults), spec.trained_defaults)
    return {**trained, **spec.defaults}


def _limits(spec: ModelSpec) -> ModelLimits:
    chars = spec.max_input_chars
    if not spec.definition.input.has_media:
        return ModelLimits(spec.max_inputs, chars)
    limits = spec.limits
    return ModelLimits(spec.max_inputs, chars, limits.max_input_bytes, limits.max_pixels, limits.max_seconds)
