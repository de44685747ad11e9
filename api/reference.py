"""/docs: the API's description for people, made from /openapi.json, which `api/openapi.py` makes.

Nothing is fetched from elsewhere, so that it works where a browser has no way out.
"""

from typing import Any

import msgspec
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.curls import posted
from api.rendering import page

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> Response:
    described = request.app.openapi()
    calls = [
        {"method": method, "path": path, "call": call, "curls": _curls(method, path, call, request)}
        for path, methods in described["paths"].items()
        for method, call in methods.items()
    ]
    return page("docs.html", info=described["info"], calls=calls)


def _curls(method: str, path: str, call: dict[str, Any], request: Request) -> list[str]:
    """Lines that can be pasted into a shell; braces in a path are for the reader to fill in."""
    url = f"{str(request.base_url).rstrip('/')}{path}"
    if method != "post":
        verb = "" if method == "get" else f"-X {method.upper()} "
        return [f"curl -s {verb}'{url}'"]
    examples = call["requestBody"]["content"]["application/json"]["examples"].values()
    return [posted(url, msgspec.json.encode(example["value"]).decode()) for example in examples]
