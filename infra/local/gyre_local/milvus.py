"""A real Milvus server on this machine: Milvus Lite's, from the `milvus-lite` wheel.

It speaks Milvus' own gRPC, so that what is built against it runs on Milvus standalone.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from pymilvus.grpc_gen import milvus_pb2, milvus_pb2_grpc

from gyre_local.ports import free_port, refuse_taken
from gyre_local.server import Server


@dataclass(frozen=True)
class MilvusSettings:
    """Where the server keeps its data and listens.

    data: a folder of this server alone; one process at a time. log: a file; by default beside the
    data. port: 0 takes a free one. threads: calls served at once.
    """

    data: Path
    log: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0
    threads: int = 10


class MilvusServer(Server):
    """`gyre_local.milvus_lite` in a process of its own."""

    name = "the Milvus server"

    def __init__(self, settings: MilvusSettings) -> None:
        self.settings = replace(settings, port=settings.port or free_port())

    @property
    def address(self) -> str:
        return f"{self.settings.host}:{self.settings.port}"

    @property
    def uri(self) -> str:
        """What a Milvus client connects to."""
        return f"http://{self.address}"

    @property
    def log(self) -> Path:
        return self.settings.log or self.settings.data.with_suffix(".log")

    def command(self) -> list[str]:
        return list(self._arguments())

    def environment(self) -> dict[str, str]:
        """Unbuffered, so that the log is not late."""
        return {"PYTHONUNBUFFERED": "1"}

    def prepare(self) -> None:
        self.settings.data.mkdir(parents=True, exist_ok=True)
        refuse_taken(self.settings.host, self.settings.port)

    def healthy(self, timeout: float = 2.0) -> bool:
        with grpc.insecure_channel(self.address) as channel:
            try:
                request = milvus_pb2.CheckHealthRequest()
                reply = milvus_pb2_grpc.MilvusServiceStub(channel).CheckHealth(
                    request, timeout=timeout
                )
            except grpc.RpcError:
                return False
            return bool(reply.isHealthy)

    def _arguments(self) -> Iterator[str]:
        yield sys.executable
        yield from ("-m", "gyre_local.milvus_lite", "server")
        yield f"--data-dir={self.settings.data.absolute()}"
        yield f"--host={self.settings.host}"
        yield f"--port={self.settings.port}"
        yield f"--max-workers={self.settings.threads}"
