"""GET /v1/models/{name}: one model. `GET /v1/models` of Batchline's own interface has the list for both."""

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from api.dialects.openai.description import MODEL
from api.edge.json_reply import JsonReply
from api.services import Shared
from jobs.catalog import modified

router = APIRouter(tags=["openai"])


@router.get("/v1/models/{name:path}", response_class=Response, **MODEL)
async def retrieve_model(name: str, shared: Shared) -> Response:
    """Returns a model, by its name or an alias, as OpenAI's interface does."""
    found = {
        "id": shared.catalog[name].name,
        "object": "model",
        "created": modified(shared.settings.models_file),
        "owned_by": "batchline",
    }
    return JsonReply(msgspec.json.encode(found), 200, {})
