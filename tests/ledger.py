"""Builders that stand in for a worker where a test needs one: claims and endings of jobs. No engine here."""

from typing import Any

import msgspec

from jobs.ledger import keys, views
from jobs.ledger.claims import Claims
from jobs.ledger.leasing import Claimed, Ending
from jobs.ledger.ledger import Ledger
from jobs.ledger.wire import UNIX_MS, Record, decode_payload, encode_record
from jobs.monitoring.roster import Heartbeat
from jobs.schema import JobState

MODEL = "sentiment"


class JobQueue(Ledger, Claims):
    """Both sides of the ledger, for a test that is the client and the worker at once."""


def ending(claimed: Claimed, results: list[dict[str, Any]] | None = None, model: str = MODEL) -> Ending:
    """A job that ran: with results given, or POSITIVE for each input."""
    inputs = views.inputs_of(claimed.payload).inputs
    results = results or [{"output": [{"label": "POSITIVE", "score": 0.98}]} for _ in inputs]
    errors = [result["error"] for result in results if "error" in result]
    state = JobState.FAILED if len(errors) == len(results) else JobState.SUCCEEDED
    error = ("input-failed", errors[0]["detail"]) if errors else None
    return _ending(claimed, msgspec.json.encode(results), len(results), state, model, error, len(errors))


def with_results(claimed: Claimed, results: bytes, inputs: int, model: str = MODEL) -> Ending:
    """A job that succeeded, with these results as JSON."""
    return _ending(claimed, results, inputs, JobState.SUCCEEDED, model)


def _ending(
    claimed: Claimed,
    results: bytes,
    inputs: int,
    state: JobState,
    model: str,
    error: tuple[str, str] | None = None,
    failed: int = 0,
) -> Ending:
    record = Record(
        s=state is JobState.SUCCEEDED,
        r=results,
        id=claimed.id,
        q=keys.queue_name(model),
        t=claimed.attempts + 1,
        et=decode_payload(claimed.payload).et,
        st=claimed.claimed_ms,
        n=inputs,
        failed=failed,
        error=error,
        worker=claimed.worker or None,
        compute=1.5,
        batch=(inputs, 0.25),
        state=state,
        ft=UNIX_MS,
    )
    return Ending(claimed.id, claimed.token, state, encode_record(record))


async def run_one(
    queue: JobQueue, results: list[dict[str, Any]] | None = None, model: str = MODEL
) -> Claimed | None:
    """Claims one job and finishes it; None when none waits."""
    claimed, _ = await queue.claim(model, 1)
    if not claimed:
        return None
    assert await queue.finish(model, [ending(claimed[0], results, model)]) == set()
    return claimed[0]


def heartbeat(worker_id: str = "host-1", model: str = MODEL, **fields: Any) -> Heartbeat:
    """A live worker with a ready engine."""
    return Heartbeat(
        **{
            "id": worker_id,
            "model": model,
            "host": "host",
            "pid": 1,
            "started": 1_700_000_000.0,
            "engine": "ready",
            "device": "cpu",
            "dtype": "float32",
            **fields,
        }
    )
