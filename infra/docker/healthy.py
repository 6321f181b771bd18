"""Health check of a service's container: exit code 0 when its gRPC health says SERVING."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from gyre_runtime.settings import RuntimeSettings


def serving(port: str, timeout: float = 3.0) -> bool:
    """Raises `grpc.RpcError` when nobody answers there."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        reply = stub.Check(health_pb2.HealthCheckRequest(), timeout=timeout)
    return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


if __name__ == "__main__":
    sys.exit(not serving(RuntimeSettings().grpc_address.rpartition(":")[2]))
