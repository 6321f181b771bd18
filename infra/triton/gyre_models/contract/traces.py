"""Spans that continue the caller's trace, under the names of the GenAI conventions.

They are made when an answer ends, from what is known then: writing tokens costs nothing more.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from gyre_models.contract.outcome import Emission, Outcome
from gyre_models.contract.refusal import Refusal

SERVICE = "gyre-models"
OPERATION = "gen_ai.operation.name"
MODEL = "gen_ai.request.model"
FINISH_REASONS = "gen_ai.response.finish_reasons"
FIRST_CHUNK = "gen_ai.response.time_to_first_chunk"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
ERROR_TYPE = "error.type"
_propagator = TraceContextTextMapPropagator()


class Traces:
    """One model's spans. They go to an OTLP collector; without one nothing is made."""

    def __init__(self, model: str, endpoint: str) -> None:
        self._model = model
        self._provider = _provider(endpoint) if endpoint else None

    def begin(self, traceparent: str) -> Trace | None:
        """At arrival. A bad or empty traceparent starts a new trace."""
        if self._provider is None:
            return None
        carrier = {"traceparent": traceparent} if traceparent else {}
        tracer = self._provider.get_tracer(SERVICE)
        parent = _propagator.extract(carrier, Context())
        return Trace(tracer, parent, self._model, time.time_ns())

    def close(self) -> None:
        """Sends what waits."""
        if self._provider is not None:
            self._provider.shutdown()


@dataclass(frozen=True)
class Trace:
    """One request's place in its caller's trace. arrival: wall clock, ns."""

    tracer: trace.Tracer
    parent: Context
    model: str
    arrival: int

    def ended(self, emission: Emission) -> None:
        """With the last emission of an answer."""
        span = self.tracer.start_span(
            f"generate {self.model}",
            context=self.parent,
            kind=trace.SpanKind.SERVER,
            start_time=self.arrival,
            attributes={OPERATION: "chat", MODEL: self.model},
        )
        if emission.refusal is not None:
            _fail(span, emission.refusal)
        if (outcome := emission.outcome) is not None:
            _describe(span, outcome)
            self._stages(trace.set_span_in_context(span, Context()), outcome)
            span.end(self.arrival + outcome.total_ns)
        else:
            span.end()

    def _stages(self, parent: Context, outcome: Outcome) -> None:
        """Waiting, reading the prompt, writing."""
        ends = (outcome.queue_ns, outcome.first_token_ns, outcome.total_ns)
        begin = 0
        for name, end in zip(("queue", "prefill", "decode"), ends, strict=True):
            stage = self.tracer.start_span(name, context=parent, start_time=self.arrival + begin)
            stage.end(self.arrival + end)
            begin = end


def _describe(span: trace.Span, outcome: Outcome) -> None:
    span.set_attribute(FINISH_REASONS, (outcome.finish_reason.value,))
    span.set_attribute(INPUT_TOKENS, outcome.input_tokens)
    span.set_attribute(OUTPUT_TOKENS, outcome.output_tokens)
    span.set_attribute(FIRST_CHUNK, outcome.first_token_ns / 1e9)


def _fail(span: trace.Span, refusal: Refusal) -> None:
    span.set_attribute(ERROR_TYPE, refusal.prefix.value)
    span.set_status(trace.StatusCode.ERROR, str(refusal))


def _provider(endpoint: str) -> TracerProvider:
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": SERVICE}))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
