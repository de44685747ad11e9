"""Problem: why a request is refused, in terms that every dialect can present. Refusal: the same, raised.

Each dialect presents it in its own form: `api/v1/problems.py` as JSON, `api/pages/interface.py` as a page.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from api.problems.statuses import STATUSES
from jobs.problem_kinds import TITLES

MAX_DETAIL = 500
"""Characters; a detail may quote what the client sent, which may be long."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One refused request. `extensions` are further members of the document, `headers` of the answer."""

    kind: str
    """One of `jobs.problem_kinds.TITLES` that has a status."""
    detail: str
    extensions: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "detail", self.detail[:MAX_DETAIL])

    @property
    def status(self) -> int:
        return STATUSES[self.kind]

    @property
    def title(self) -> str:
        return TITLES[self.kind]


class Refusal(Exception):
    """An error of HTTP alone, which the domain (`jobs/errors.py`) does not know."""

    def __init__(
        self, kind: str, detail: str, *, headers: Mapping[str, str] | None = None, **extensions: Any
    ) -> None:
        super().__init__(detail)
        self.problem = Problem(kind, detail, extensions, headers or {})
