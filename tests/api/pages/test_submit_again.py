"""The command that submits a job again, for inputs that the model's present task does not have."""

import pytest
from starlette.requests import Request

from api.pages import submit_again
from jobs.ledger.views import JobInputs
from jobs.media.values import Stored
from jobs.schema import Counts, Job, JobState, Timings, from_ms, urls
from jobs.tasks.inputs import Text

JOB = Job(
    id="0-1",
    model="m",
    status=JobState.QUEUED,
    created_at=from_ms(1),
    counts=Counts(1, 0, 0),
    timings=Timings(None, None, None),
    urls=urls("0-1"),
)


@pytest.mark.parametrize("medium", [b"\x89PNG", Stored(0, 7, b"", b"\x89PNG")])
@pytest.mark.parametrize("single", [True, False])
def test_media_for_a_model_of_texts_have_no_command(medium: object, single: bool) -> None:
    """The model's task was changed, or a stock client sent them: JSON cannot carry them."""
    request = Request({"type": "http"})
    for each in (medium, {"image": medium}, [medium]):
        assert submit_again.line(request, JOB, JobInputs([each], single=single), Text()) is None
