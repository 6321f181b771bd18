"""One run over all parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

import nats
from gyre_runtime.access import connect_options
from gyre_runtime.rpc import channel
from gyre_runtime.settings import DEVELOPMENT_KEY, RuntimeSettings
from pydantic import SecretStr

from gyre_provisioner.bus import BusPart
from gyre_provisioner.collections import CollectionsPart
from gyre_provisioner.models import ModelsPart
from gyre_provisioner.part import Difference, Provisioned
from gyre_provisioner.topology import read_topology


class Settings(RuntimeSettings):
    """Read from the environment with the prefix `GYRE_`."""

    nats_replicas: int | None = None
    """Copies of every stream; 3 on a cluster. Without it, what topology.yaml says."""
    topology_file: Path | None = None
    """Another plan of the bus than the one that comes with the provisioner."""

    triton_address: str = "127.0.0.1:8001"
    """The model server."""
    triton_admin_key: SecretStr = SecretStr("")
    """Key of its restricted calls."""
    embedding_model: str = "all-minilm-l6-v2"
    """The model of passages."""
    embedding_query_model: str = "all-minilm-l6-v2-query"
    """The model of queries."""
    language_model: str = "gyre-reader"
    """The model that writes answers."""

    retrieval_address: str = "127.0.0.1:50053"
    """The retrieval service, which keeps the collections."""
    collections: frozenset[str] = frozenset({"default"})
    """Collections that there must be (JSON list)."""
    api_key: SecretStr = SecretStr(DEVELOPMENT_KEY)
    """Whose tenant the collections belong to."""


async def provision(
    settings: Settings, parts: Sequence[str], *, check: bool, apply: bool
) -> list[Difference]:
    """What differs afterwards. parts: of `PARTS`. check: changes nothing. apply: sets right what
    has drifted.

    Raises OSError, TimeoutError or NoServersError when a server is away.
    """
    left: list[Difference] = []
    for name in parts:
        async with PARTS[name](settings) as part:
            left += await _provision(part, check=check, apply=apply)
    return left


async def _provision(part: Provisioned, *, check: bool, apply: bool) -> Sequence[Difference]:
    found = await part.differences()
    if check or not found:
        return found
    await part.repair(only_missing=not apply)
    return await part.differences()


@asynccontextmanager
async def _bus(settings: Settings) -> AsyncIterator[Provisioned]:
    topology = read_topology(settings.topology_file, settings.nats_replicas)
    client = await nats.connect(
        settings.nats_url.split(","),
        allow_reconnect=False,
        # Without it, a first connection is tried for two minutes.
        max_reconnect_attempts=1,
        reconnect_time_wait=0.2,
        **connect_options(settings),
    )
    try:
        yield BusPart(client.jetstream(), topology)
    finally:
        await client.close()


@asynccontextmanager
async def _models(settings: Settings) -> AsyncIterator[Provisioned]:
    wanted = (settings.embedding_model, settings.embedding_query_model, settings.language_model)
    async with channel(settings.triton_address, settings) as triton:
        yield ModelsPart(triton, wanted, settings.triton_admin_key.get_secret_value())


@asynccontextmanager
async def _collections(settings: Settings) -> AsyncIterator[Provisioned]:
    async with channel(settings.retrieval_address, settings) as retrieval:
        key = settings.api_key.get_secret_value()
        yield CollectionsPart(retrieval, sorted(settings.collections), key)


# In the order in which they can be made; another server is added here.
PARTS: dict[str, Callable[[Settings], AbstractAsyncContextManager[Provisioned]]] = {
    "bus": _bus,
    "models": _models,
    "collections": _collections,
}
