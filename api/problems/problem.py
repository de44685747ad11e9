"""Problem: why a request is refused, independent of the dialect. Refusal: an exception with a problem.

Each dialect presents them in its format: `api/v1/problems.py` as JSON, `api/pages/interface.py` as a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.problems.statuses import STATUSES
from jobs.problem_kinds import TITLES, TYPE
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
        object.__setattr__(self, "detail", redacted(self.detail)[:MAX_DETAIL])
        shown = {
            name: redacted(value) if isinstance(value, str) else value
            for name, value in self.extensions.items()
        }
        object.__setattr__(self, "extensions", shown)

    @property
    def status(self) -> int:
        return STATUSES[self.kind]

    @property
    def title(self) -> str:
        return TITLES[self.kind]

    def document(self) -> dict[str, Any]:
        """As a JSON object (RFC 9457).

        `message` repeats `detail`: many generic clients show only `message`.
        """
        fields = {
            "type": TYPE + self.kind,
            "title": self.title,
            "status": self.status,
            "detail": self.detail,
            "message": self.detail,
        }
        return fields | {name: value for name, value in self.extensions.items() if value is not None}


class Refusal(Exception):
    """An error that concerns HTTP only, so it is not in the domain's errors (`jobs/errors.py`)."""

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail, extensions, headers or {})
