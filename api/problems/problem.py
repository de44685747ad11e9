"""Problem: why a request is refused, independent of the dialect. Refusal: an exception with a problem.

Each dialect presents them in its format: `api/v1/problems.py` as JSON, `api/pages/interface.py` as a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.problems.statuses import STATUSES
from jobs.problem_kinds import TITLES
from jobs.process.redaction import redacted

MAX_DETAIL = 500
"""Maximum characters of a detail, which may quote a long text that the client sent."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a request is refused. `extensions` are more members of the document, `headers` of the answer."""

    kind: str
    """A key of both `jobs.problem_kinds.TITLES` and `STATUSES`."""
    detail: str
    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", redacted(self.detail[:MAX_DETAIL]))

    @property
    def status(self) -> int:
        return STATUSES[self.kind]

    @property
    def title(self) -> str:
        return TITLES[self.kind]


class Refusal(Exception):
    """An error that concerns HTTP only, so it is not in the domain's errors (`jobs/errors.py`)."""

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail, extensions, headers or {})
