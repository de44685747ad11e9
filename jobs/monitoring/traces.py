"""Traces: OpenTelemetry across the queue, where the `otel` extra is installed and an endpoint is named.

OTEL_EXPORTER_OTLP_ENDPOINT turns them on, and OpenTelemetry's other variables do what they always do. Without
it nothing of OpenTelemetry is imported here, and nothing travels with a job. In the worker the trace goes on
by the job's `traceparent` (W3C Trace Context), a keyword of its payload. The spans: docs/traces.md.
"""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.trace import Tracer, TracerProvider

log = structlog.get_logger(__name__)

ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")

LONGEST = 55
"""Characters of a traceparent of version 00; no other is understood."""

_tracer: "Tracer | None" = None

_OFF: AbstractContextManager[str | None] = nullcontext()


def configure(service: str) -> None:
    """Turns traces on for this process, `api` or `worker`, if the environment says so."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("traces are off, the otel extra is not installed", error=str(error))
        return
    name = os.environ.get("OTEL_SERVICE_NAME") or f"batchline-{service}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: "TracerProvider | None") -> None:
    """Takes this provider's tracer; None turns traces off."""
    global _tracer
    _tracer = provider.get_tracer("batchline") if provider else None


def tracer() -> "Tracer | None":
    """None where traces are off."""
    return _tracer


def submitting(model: str, job_id: str, headers: Mapping[str, str]) -> AbstractContextManager[str | None]:
    """The span of a submit, a child of what the request's `traceparent` names; gives the one for the job."""
    return _OFF if _tracer is None else _submitting(_tracer, model, job_id, headers)


@contextmanager
def _submitting(
    tracer: "Tracer", model: str, job_id: str, headers: Mapping[str, str]
) -> Iterator[str | None]:
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    about = {"batchline.model": model, "batchline.job": job_id}
    above = context(headers.get("traceparent"))
    with tracer.start_as_current_span("submit", above, SpanKind.PRODUCER, about):
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        yield carrier.get("traceparent")


def context(traceparent: object) -> "Context":
    """What a traceparent names; an empty context where it is none. Traces must be on."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not isinstance(traceparent, str) or len(traceparent) > LONGEST:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
