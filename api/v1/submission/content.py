"""Decides by the content type what kind of body a request has."""

import re
from typing import Literal

from starlette.requests import Request

from api.edge.cross_origin import refuse_cross_site
from api.problems.problem import Refusal

Content = Literal["json", "raw", "form"]

FORM = "multipart/form-data"
RAW = "application/octet-stream"
OTHER_RAW = ("image/*", "audio/*", "video/*")

_json = re.compile(r"application/([\w.!#$&^-]+\+)?json")
_raw = re.compile(r"(image|audio|video)/[\w.!#$&^+-]+|application/octet-stream")


def content_of(request: Request, cors_origins: str | None) -> Content:
    """The kind of the request's body. Without a content type it is JSON.

    Raises Refusal for any other content type, and if another site's page sends the body in a way for which
    a browser does not ask first (CORS): as a form, or without a content type.
    """
    given = request.headers.get("content-type")
    if given is None and "sec-fetch-site" not in request.headers:
        refuse_cross_site(request, cors_origins)  # of an earlier browser, which sends only the origin
        return "json"
    essence = (given or "none").partition(";")[0].strip().lower()
    if _json.fullmatch(essence):
        return "json"
    if essence == FORM or _raw.fullmatch(essence):
        refuse_cross_site(request, cors_origins)
        return "form" if essence == FORM else "raw"
    raise Refusal(
        "unsupported-media-type",
        f"the content type is {essence}; send JSON (application/json), a form ({FORM}), or the bytes of an"
        " image, sound or video with its type, such as image/png",
    )


def content_type_of(request: Request) -> str:
    """The content type as it was sent, to describe a body that is something else."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()
