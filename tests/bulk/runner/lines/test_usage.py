"""Tokens of a job that are divided among its lines."""

from datetime import UTC, datetime

import pytest

from bulk.runner.lines.answers import Found, divided
from bulk.runner.lines.groups import Part
from bulk.runner.lines.interface import Line
from jobs.schema import Counts, Job, JobState, Timings


@pytest.mark.parametrize(
    ("tokens", "lengths", "expected"),
    [
        (10, [2, 3, 5], [2, 8]),  # they are the tokens
        (7, [2, 3, 5], [1, 6]),  # pairs, which share a special token
        (100, [2, 3, 5], [20, 80]),  # estimates
        (9, None, [3, 6]),  # an older worker
        (9, [1, 1], [3, 6]),
        (None, [2, 3, 5], [None, None]),
    ],
)
def test_the_tokens_of_lines(tokens: int | None, lengths: list[int] | None, expected: list[int]) -> None:
    job = Job(
        id="j",
        model="m",
        status=JobState.SUCCEEDED,
        created_at=datetime.now(UTC),
        counts=Counts(3, 3, 0, tokens),
        timings=Timings(None, None, None),
        urls={},
    )
    parts = [Part(Line(n, str(n), b""), None, inputs) for n, inputs in enumerate((1, 2))]
    found = divided(Found(job, [None] * 3, lengths), parts)
    assert [own for _, _, own in found] == expected
