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
    payload = decode_payload(claimed.payload)
    inputs = views.inputs_of(claimed.payload).inputs
    results = results or [{"output": [{"label": "POSITIVE", "score": 0.98}]} for _ in inputs]
    errors = [result["error"] for result in results if "error" in result]
    state = JobState.FAILED if len(errors) == len(results) else JobState.SUCCEEDED
    record = Record(
        s=state is JobState.SUCCEEDED,
        r=msgspec.json.encode(results),
        id=claimed.id,
        q=keys.queue_name(model),
        t=claimed.attempts + 1,
        et=payload.et,
        st=claimed.claimed_ms,
        n=len(results),
        failed=len(errors),
        error=("input-failed", errors[0]["detail"]) if errors else None,
        worker=claimed.worker or None,
        compute=1.5,
        batch=(len(results), 0.25),
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
