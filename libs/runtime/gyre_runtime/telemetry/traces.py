"""OpenTelemetry traces; one trace runs through every hop, bus included."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_propagator = TraceContextTextMapPropagator()


def tracer(name: str) -> trace.Tracer:
    return trace.get_tracer(name)


def current_traceparent() -> str:
    """W3C trace context of the current span; empty outside of one."""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get("traceparent", "")


def context_of(traceparent: str) -> Context:
    """The remote parent; a bad value starts a new trace."""
    return _propagator.extract({"traceparent": traceparent} if traceparent else {}, Context())


def configure_traces(service: str, endpoint: str | None) -> TracerProvider:
    """Ids are made always, so that logs can be joined; spans leave only with an endpoint."""
    known = trace.get_tracer_provider()
    if isinstance(known, TracerProvider):
        return known
    provider = TracerProvider(resource=Resource.create({"service.name": f"gyre-{service}"}))
    if endpoint:
        _export(provider, endpoint)
    trace.set_tracer_provider(provider)
    return provider


def _export(provider: TracerProvider, endpoint: str) -> None:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
