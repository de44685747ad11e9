"""The pages as a dialect: their routes, and problems shown as pages in a browser."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from api.dialect import Sample, SampleRequest
from api.pages import (
    batches_page,
    example_media,
    forms,
    fragments,
    job_page,
    jobs_page,
    model_page,
    model_status,
    overview,
    owners_page,
    reference,
    sign_in,
    try_page,
    webhooks_page,
)
from api.pages.rendering import page
from api.problems.problem import Problem
from api.v1 import problems
from jobs.catalog import ModelCatalog
from jobs.models import ModelSpec

FINAL = (403, 404)
"""Statuses of problems that do not end while a page polls."""


class Pages:
    """A `Dialect`. It refuses requests for all paths that belong to no other dialect."""

    name = "pages"
    title = "Pages"
    prefix = ""
    routers = tuple(
        module.router
        for module in (
            sign_in,
            reference,
            overview,
            fragments,
            model_page,
            jobs_page,
            job_page,
            batches_page,
            try_page,
            example_media,
            model_status,
            owners_page,
            webhooks_page,
        )
    )
    line_calls = ()

    def calls(self, spec: ModelSpec) -> Sequence[str]:
        """None: pages are for people."""
        return ()

    def samples(self, request: SampleRequest) -> Sequence[Sample]:
        return ()

    def refuse(self, request: Request, problem: Problem) -> Response:
        """A page for a browser, JSON for clients that do not accept HTML.

        For an unknown host name always JSON, because the page's style would be refused as well.
        """
        if problem.kind == "unauthorized" and (forms.by_htmx(request) or _browsing(request)):
            return sign_in.required(request)
        text = {"title": problem.title, "detail": problem.detail, "job_id": ""}
        if forms.by_htmx(request) and request.method == "GET" and problem.status in FINAL:
            answer = page("fragments/missing.html", problem.status, **text)
            answer.headers["hx-reswap"] = "outerHTML"  # replaces the part that polls, which ends that
            return answer
        if problem.kind == "unknown-host" or not _browsing(request):
            return problems.response(problem)
        answer = page("missing.html", problem.status, **text)
        answer.headers.update(problem.headers)
        return answer

    def describe(self, described: dict[str, Any], catalog: ModelCatalog) -> None:
        """Does nothing: the pages are not part of the description."""


def _browsing(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "").lower()
