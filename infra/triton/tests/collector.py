"""A trace collector of this process: keeps the spans that a model server sends."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as wire
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc
from opentelemetry.proto.trace.v1.trace_pb2 import Span


class Collector(trace_service_pb2_grpc.TraceServiceServicer):
    """Listens on a free port of the loopback."""

    def __init__(self) -> None:
        self._spans: list[Span] = []
        self._server = grpc.server(ThreadPoolExecutor(2))
        trace_service_pb2_grpc.add_TraceServiceServicer_to_server(self, self._server)
        self.endpoint = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        self._server.start()

    def Export(  # noqa: N802 - named by the proto
        self, request: wire.ExportTraceServiceRequest, context: grpc.ServicerContext
    ) -> wire.ExportTraceServiceResponse:
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                self._spans.extend(scope.spans)
        return wire.ExportTraceServiceResponse()

    def spans_of(self, trace_id: str, seconds: float = 30.0) -> dict[str, Span]:
        """By name; waits until one has come, for they travel every few seconds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            found = {one.name: one for one in self._spans if one.trace_id.hex() == trace_id}
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f"no span of trace {trace_id} came within {seconds:g} s")

    def close(self) -> None:
        self._server.stop(None)
