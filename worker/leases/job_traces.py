"""The worker's spans: for each job, created when it ends, and for each micro-batch, with links to its jobs.

docs/traces.md describes each span. `jobs/monitoring/traces.py` describes how to turn on tracing.
"""

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING

from jobs.monitoring import traces
from jobs.schema import JobState
from worker.leases.held import HeldJob
from worker.leases.leased_job import LeasedJob

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

NS_PER_MS = 1_000_000
"""ns"""


class JobTraces:
    """Creates one worker's spans for the traces of its jobs."""

    def __init__(self, tracer: "Tracer", model: str, worker: str) -> None:
        self._tracer = tracer
        self._about: dict[str, str | int] = {"batchline.model": model, "batchline.worker": worker}

    def batch(self, jobs: Iterable[LeasedJob], items: int, tokens: int, padded: int, seconds: float) -> None:
        """Adds the span of a finished micro-batch: a separate trace, because each of its jobs has its own."""
        from opentelemetry.context import Context
        from opentelemetry.trace import Link, get_current_span

        contexts = [get_current_span(traces.context(job.traceparent)).get_span_context() for job in jobs]
        links = [Link(each) for each in contexts if each.is_valid and each.trace_flags.sampled]
        if links:
            now = time.time_ns()
            shape: dict[str, str | int] = {
                "batchline.items": items,
                "batchline.tokens": tokens,
                "batchline.padded_tokens": padded,
            }
            began = now - int(seconds * 1e9)
            span = self._tracer.start_span(
                "batch", Context(), attributes=self._about | shape, links=links, start_time=began
            )
            span.end(now)

    def ended(self, job: HeldJob, state: JobState, writing: float) -> None:
        """Adds the spans of a job whose ending was just written, in `writing` seconds; in server time."""
        from opentelemetry.trace import SpanKind, Status, StatusCode, get_current_span

        parent = traces.context(job.traceparent)
        if not get_current_span(parent).get_span_context().is_valid:
            return
        about = self._about | {"batchline.job": job.id, "batchline.attempts_before": job.claimed.attempts}
        now, claimed = job.now(), job.claimed.claimed_ms
        wrote = now - int(writing * 1000)
        began = wrote if job.begun is None else job.begun
        created = max(0, min(job.created, claimed))  # unchecked, a stock client may have written anything
        for name, start, end in (("queued", created, claimed), ("claim", claimed, began)):
            self._tracer.start_span(name, parent, attributes=about, start_time=start * NS_PER_MS).end(
                end * NS_PER_MS
            )
        finish = self._tracer.start_span(
            "finish",
            parent,
            SpanKind.CONSUMER,
            about | {"batchline.state": str(state)},
            start_time=wrote * NS_PER_MS,
        )
        if state is JobState.FAILED:
            finish.set_status(Status(StatusCode.ERROR, job.failures[0].kind if job.failures else None))
        finish.end(now * NS_PER_MS)
