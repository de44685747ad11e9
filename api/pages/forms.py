"""Reads forms of the pages within limits, and refuses forms that another site's page sent."""

import hmac
from collections.abc import Mapping
from urllib.parse import parse_qs

from starlette.requests import Request

from api.access.sessions import session_of
from api.edge import bodies
from api.edge.cross_origin import from_this_site
from api.problems.problem import Refusal
from jobs.errors import InvalidRequest

MAX_FORM = 256 * 1024
"""Maximum bytes of a form. Nobody types more, and parsing more would block the event loop."""
MAX_FIELDS = 60


async def read(request: Request, max_bytes: int) -> dict[str, str]:
    """The form's fields, the first of each name. Raises InvalidRequest, or Refusal if it is too large."""
    body = await bodies.read(request, min(MAX_FORM, max_bytes))
    try:
        fields = parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MAX_FIELDS)
    except ValueError:
        raise InvalidRequest(f"the form has more than {MAX_FIELDS} fields") from None
    return {name: values[0] for name, values in fields.items()}


def refuse_cross_site(request: Request) -> None:
    """Raises Refusal if another site's page sent the form: CORS does not prevent that."""
    if not from_this_site(request):
        raise Refusal("cross-site", "this form may be sent from this server's own pages only")


def check_token(request: Request, form: Mapping[str, str]) -> None:
    """Raises Refusal unless the form has its session's token. Without a session no cookie was used."""
    session = session_of(request.scope)
    if session is None:
        return
    if not hmac.compare_digest(form.get("token", "").encode(), session.token.encode()):
        raise Refusal("cross-site", "this form belongs to another session; load its page again")


async def check(request: Request, max_bytes: int) -> None:
    """As `check_token`, for a form without other fields. It is read only if there is a session."""
    if session_of(request.scope) is not None:
        check_token(request, await read(request, max_bytes))


def by_htmx(request: Request) -> bool:
    """Whether htmx sent the request, which needs a fragment. Otherwise the browser needs a page."""
    return request.headers.get("hx-request") == "true"
