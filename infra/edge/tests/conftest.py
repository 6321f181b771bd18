"""The edge in front of servers that speak the real contracts over real gRPC."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from gyre.embedding.v1 import service_pb2 as embedding
from gyre.embedding.v1 import service_pb2_grpc as embedding_grpc
from gyre.inference.v1 import service_pb2 as inference
from gyre.inference.v1 import service_pb2_grpc as inference_grpc
from gyre_edge.app import RestServer
from gyre_edge.platform import Platform
from gyre_edge.settings import Settings
from gyre_runtime.rpc import RpcServer
from gyre_runtime.settings import RuntimeSettings
from openai import AsyncOpenAI

sys.path.insert(0, str(Path(__file__).parent))

from edge_services import Services

EVERYBODY = frozenset({"reader"})


@pytest.fixture
def services() -> Services:
    return Services()


@pytest.fixture
async def edge(services: Services) -> AsyncIterator[str]:
    """The base URL of a running edge."""
    rpc = RpcServer(RuntimeSettings(grpc_address="127.0.0.1:0"), service="stand-in")
    for module, wire in ((inference_grpc, inference), (embedding_grpc, embedding)):
        name = next(iter(wire.DESCRIPTOR.services_by_name))
        descriptor = wire.DESCRIPTOR.services_by_name[name]
        roles = {method.name: EVERYBODY for method in descriptor.methods}
        rpc.add(getattr(module, f"add_{name}Servicer_to_server"), services, descriptor, roles=roles)
    await rpc.start()
    address = f"127.0.0.1:{rpc.port}"
    settings = Settings(
        edge_address="127.0.0.1:0",
        edge_body_limit=20_000,
        inference_address=address,
        embedding_address=address,
    )
    platform = Platform(settings)
    async with platform, RestServer(settings, platform) as server:
        yield f"http://127.0.0.1:{server.port}/v1"
    await rpc.stop()


@pytest.fixture
async def client(edge: str) -> AsyncIterator[AsyncOpenAI]:
    async with AsyncOpenAI(base_url=edge, api_key="gyre-dev-key", max_retries=0) as opened:
        yield opened
