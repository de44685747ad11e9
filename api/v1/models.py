"""/v1/models: what is served, what each takes and who serves it. `jobs/models.py` reads the models file."""

from typing import Any

from fastapi import APIRouter
from starlette.responses import Response

from api.services import Shared
from api.v1.model_schemas import parameters_schema
from api.v1.openapi import MODELS
from api.v1.replies import reply
from jobs.ledger.queues import Depth
from jobs.models import ModelSpec
from jobs.monitoring.failures import newest
from jobs.monitoring.roster import Heartbeat
from jobs.problem_kinds import TYPE
from jobs.schema import from_ms

router = APIRouter(tags=["models"])


@router.get("/v1/models", **MODELS)
async def list_models(shared: Shared) -> Response:
    """The models, the default one first; `failures` says why inputs failed lately, newest reason first."""
    depths = await shared.ledger.depth()
    workers = await shared.roster.workers()
    catalog = shared.catalog
    return reply(
        {
            "models": [
                _described(
                    spec,
                    spec is catalog.default,
                    depths[name],
                    [beat for beat in workers if beat.model == name],
                )
                for name, spec in catalog.specs.items()
            ]
        }
    )


def _described(spec: ModelSpec, default: bool, depth: Depth, workers: list[Heartbeat]) -> dict[str, Any]:
    return {
        "name": spec.name,
        "description": spec.description,
        "task": spec.task,
        "default": default,
        "input": spec.input,
        "parameters": parameters_schema(spec),
        "limits": {"max_inputs": spec.max_inputs, "max_input_chars": spec.max_input_chars},
        "queue": {"waiting": depth.waiting + depth.deferred, "running": depth.running},
        "workers": [
            {
                "id": beat.id,
                "state": beat.engine,
                "device": beat.device,
                "dtype": beat.dtype,
                "items_per_second": round(beat.items_per_second, 1),
            }
            for beat in workers
        ],
        "failures": [
            {
                "type": TYPE + reason.kind,
                "title": reason.title,
                "detail": reason.detail,
                "inputs": reason.inputs,
                "job": reason.job,
                "at": from_ms(int(reason.at * 1000)),
            }
            for reason in newest([reason for beat in workers for reason in beat.failures])
        ],
    }
