"""The page /sign-in: a key opens a session, which is a cookie (`api/access/sessions.py`); /sign-out ends it.

The form's token belongs to a cookie that the page sets, so that another site cannot sign a person in with a
key of its own. A session's cookie is always new: a cookie from before the sign-in is never continued.
"""

import hmac
import re
import secrets
from urllib.parse import quote, urlsplit

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.access import sessions
from api.pages import forms
from api.pages.rendering import page
from api.problems.exceptions import problem_of
from api.problems.problem import Refusal
from api.services import Shared
from jobs.errors import InvalidRequest, QueueUnavailable
from jobs.process.redaction import redacted

router = APIRouter(include_in_schema=False)

PATH = "/sign-in"

_LOCAL = re.compile(r"/(?![/\\])[^\x00-\x20\\\x7f]*")
"""A path and query of this server. Browsers read `//host`, `/\\host` and `/<tab>/host` as another server."""

_NOT_ACCEPTED = "This key is not accepted: it is unknown, revoked, rotated or expired."
_OLD_FORM = "This form is too old, or the browser does not accept cookies. Try again."


@router.get(PATH)
async def sign_in_page(request: Request, shared: Shared) -> Response:
    next_page = local(request.query_params.get("next", "/"))
    sign_in = shared.access.sign_in
    if sign_in is None:
        return RedirectResponse(next_page, 303)
    if session := sign_in.sessions.find(request.scope):
        return RedirectResponse(_first(session, next_page), 303)
    return _form(request, next_page)


@router.post(PATH)
async def open_session(request: Request, shared: Shared) -> Response:
    """Checks the key and sets the session's cookie."""
    forms.refuse_cross_site(request)
    form = await forms.read(request, shared.settings.max_request_bytes)
    next_page = local(form.get("next", "/"))
    if shared.access.sign_in is None:
        return RedirectResponse(next_page, 303)
    if not _is_ours(request, form.get("token", "")):
        return _form(request, next_page, _OLD_FORM, 400)
    try:
        session = shared.access.sign_in.open(request.scope, form.get("key", "").strip())
    except (Refusal, QueueUnavailable) as error:
        problem = problem_of(error)
        told = _NOT_ACCEPTED if problem.kind == "unauthorized" else problem.detail
        answer = _form(request, next_page, told, problem.status)
        answer.headers.update(problem.headers)
        return answer
    opened = RedirectResponse(_first(session, next_page), 303)
    _set(request, opened, sessions.NAME, session.value)
    _set(request, opened, sessions.SIGN_IN_NAME, "")
    return opened


@router.post("/sign-out")
async def sign_out(request: Request, shared: Shared) -> Response:
    forms.refuse_cross_site(request)
    await forms.check(request, shared.settings.max_request_bytes)
    answer = RedirectResponse(PATH, 303)
    _set(request, answer, sessions.NAME, "")
    return answer


def _first(session: sessions.Session, next_page: str) -> str:
    """The page after the sign-in. The overview is the default, and not every key may read it."""
    return sessions.home(session.key.scopes) if next_page == "/" else next_page


def local(path: str) -> str:
    """The path, if it is one of this server. Raises InvalidRequest: the link may come from anybody."""
    if not _LOCAL.fullmatch(path):
        raise InvalidRequest("next must be a path of this server, such as /jobs")
    return path


def required(request: Request) -> Response:
    """The answer to a page's request without a session: the sign-in page, which leads back afterwards."""
    if forms.by_htmx(request):  # the fragment belongs to a page, which htmx leaves
        return Response(None, 401, {"hx-redirect": _leading_to(_page_of_fragment(request))})
    if request.method != "GET":
        return RedirectResponse(PATH, 303)
    wanted = _path(request.url.path, request.url.query)
    if request.headers.get("sec-fetch-site") == "cross-site" and _LOCAL.fullmatch(wanted):
        # a link on another site: the browser sends the cookie only when a page of ours begins the request
        return page("arriving.html", here_again=wanted)
    return RedirectResponse(_leading_to(wanted), 303)


def _leading_to(wanted: str) -> str:
    if wanted == "/" or not _LOCAL.fullmatch(wanted) or redacted(wanted) != wanted:
        return PATH
    return f"{PATH}?next={quote(wanted)}"


def _page_of_fragment(request: Request) -> str:
    """The path and query of the page that htmx names; "/" if that is no address."""
    try:
        parts = urlsplit(request.headers.get("hx-current-url", "/"))
    except ValueError:
        return "/"
    return _path(parts.path, parts.query)


def _path(path: str, query: str) -> str:
    return f"{path}?{query}" if query else path


def _form(request: Request, next_page: str, fault: str | None = None, status: int = 200) -> Response:
    name = sessions.name(request.scope, sessions.SIGN_IN_NAME)
    value = next(sessions.cookies(request.scope, name), "")
    fresh = value if re.fullmatch(r"[\w-]{43}", value) else secrets.token_urlsafe(32)
    # the browser still sends a cookie, which is no longer accepted
    ended = any(sessions.cookies(request.scope, sessions.name(request.scope, sessions.NAME)))
    token = sessions.form_token(fresh)
    answer = page("sign_in.html", status, token=token, next=next_page, fault=fault, ended=ended)
    _set(request, answer, sessions.SIGN_IN_NAME, fresh)
    return answer


def _is_ours(request: Request, token: str) -> bool:
    """Whether the form's token belongs to the form's cookie."""
    name = sessions.name(request.scope, sessions.SIGN_IN_NAME)
    expected = [sessions.form_token(each) for each in sessions.cookies(request.scope, name)]
    return any(hmac.compare_digest(each.encode(), token.encode()) for each in expected)


def _set(request: Request, answer: Response, name: str, value: str) -> None:
    answer.headers.append("set-cookie", sessions.set_cookie(request.scope, name, value))
