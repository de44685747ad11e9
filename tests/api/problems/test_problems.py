"""Every kind of problem is listed once, and has a status if a request may be refused for it."""

import pytest

from api.problems.exceptions import KINDS, problem_of
from api.problems.problem import MAX_DETAIL, Problem, Refusal
from api.problems.statuses import STATUSES
from jobs import errors
from jobs.access.api_key import new_secret
from jobs.problem_kinds import FAILURES, TITLES


def test_each_kind_is_a_refusal_with_a_status_or_a_failure_or_both() -> None:
    assert set(STATUSES) | set(FAILURES) == set(TITLES)
    assert set(KINDS.values()) <= set(STATUSES)


def test_each_exception_of_the_domain_that_a_request_may_meet_has_a_kind() -> None:
    """Not those that end a command or the process at its start, or that only a stock arq client sees."""
    domain = {cls for cls in vars(errors).values() if isinstance(cls, type)}
    others = {errors.BatchlineError, errors.ConfigurationError, errors.JobFailed}
    others |= {errors.KeyNotFound, errors.KeyChanged, errors.ObjectNotFound, errors.ObjectTruncated}
    assert {cls for cls in domain if issubclass(cls, tuple(KINDS))} == domain - others


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.UnknownModel("no"), "unknown-model"),
        (errors.InvalidRequest("no"), "invalid-request"),
        (errors.QueueDamaged("the key x"), "redis-unavailable"),
        (Refusal("cross-site", "no"), "cross-site"),
        (ZeroDivisionError("secret"), "internal-error"),
    ],
)
def test_the_nearest_kind_counts(error: Exception, kind: str) -> None:
    assert problem_of(error).kind == kind


def test_what_redis_said_and_what_a_bug_says_is_not_told() -> None:
    for cls in (errors.QueueUnavailable, errors.QueueDamaged, KeyError):
        assert "secret" not in problem_of(cls("secret")).detail


def test_a_detail_is_cut_and_a_pointer_is_an_extension() -> None:
    problem = problem_of(errors.InvalidRequest("x" * 1_000, pointer="/inputs"))
    assert (len(problem.detail), problem.extensions) == (MAX_DETAIL, {"pointer": "/inputs"})
    assert problem_of(errors.InvalidRequest("x")).extensions == {}


def test_a_cut_detail_has_no_part_of_a_secret() -> None:
    secret = new_secret()
    for before in (MAX_DETAIL - 45, MAX_DETAIL - 20):
        assert secret[:12] not in Problem("not-found", "x" * before + secret).detail


def test_a_refusal_has_headers_and_extensions_of_its_own() -> None:
    problem = problem_of(Refusal("server-busy", "later", headers={"retry-after": "7"}, limit=3))
    assert (problem.headers, problem.extensions) == ({"retry-after": "7"}, {"limit": 3})
    assert (Problem("job-gone", "x").status, Problem("job-gone", "x").title) == (410, TITLES["job-gone"])
