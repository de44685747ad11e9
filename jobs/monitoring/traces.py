"""Traces: OpenTelemetry across the queue, if the `otel` extra is installed and an endpoint is configured.

OTEL_EXPORTER_OTLP_ENDPOINT turns them on; OpenTelemetry's other variables work as documented there. Without
it OpenTelemetry is not imported here and jobs carry no trace data. The worker continues the trace from the
job's `traceparent` (W3C Trace Context), a keyword of its payload. docs/traces.md lists the spans.
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

MAX_TRACEPARENT = 55
"""Characters of a traceparent of version 00, the only supported version."""

_tracer: "Tracer | None" = None

_OFF: AbstractContextManager[str | None] = nullcontext()


def configure(service: str) -> None:
    """Turns traces on for this process, `api` or `worker`, if the environment enables them."""
    off = os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    if off or not any(os.environ.get(name) for name in ENDPOINTS):
        return
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        log.warning("tracing disabled, the otel extra is not installed", error=str(error))
        return
    name = os.environ.get("OTEL_SERVICE_NAME") or f"batchline-{service}"
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    use(provider)


def use(provider: "TracerProvider | None") -> None:
    """Sets the tracer from this provider; None turns traces off."""
    global _tracer
    _tracer = provider.get_tracer("batchline") if provider else None


def tracer() -> "Tracer | None":
    """Returns the tracer, or None if traces are off."""
    return _tracer


def submitting(model: str, job_id: str, headers: Mapping[str, str]) -> AbstractContextManager[str | None]:
    """Opens the span of a submit, a child of the request's `traceparent`; yields the job's traceparent."""
    return _OFF if _tracer is None else _submitting(_tracer, model, job_id, headers)


@contextmanager
def _submitting(
    tracer: "Tracer", model: str, job_id: str, headers: Mapping[str, str]
) -> Iterator[str | None]:
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    about = {"batchline.model": model, "batchline.job": job_id}
    parent = context(headers.get("traceparent"))
    with tracer.start_as_current_span("submit", parent, SpanKind.PRODUCER, about):
        carrier: dict[str, str] = {}
        TraceContextTextMapPropagator().inject(carrier)
        yield carrier.get("traceparent")


def context(traceparent: object) -> "Context":
    """Returns the context of a traceparent, or an empty one if it is invalid. Traces must be on."""
    from opentelemetry.context import Context
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    if not isinstance(traceparent, str) or len(traceparent) > MAX_TRACEPARENT:
        return Context()
    return TraceContextTextMapPropagator().extract({"traceparent": traceparent}, Context())
