"""An embedder that was trained: placed, loaded, asked, told; kept loaded; withdrawn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import grpc
import pytest
from gyre.embedding.v1.events_pb2 import EmbedderReady
from gyre.retraining.v1.events_pb2 import ModelTrained
from gyre.retraining.v1.training_pb2 import (
    MODEL_KIND_EMBEDDING,
    MODEL_KIND_LANGUAGE,
    Model,
    Training,
)
from gyre.retrieval.v1.events_pb2 import IndexAborted
from gyre.retrieval.v1.reindex_pb2 import IndexVersion
from gyre_embedding.adapters.memory import MemoryEmbeddingModel
from gyre_embedding.adapters.memory_embedders import MemoryModelServer, MemoryShelf
from gyre_embedding.adapters.repository import FolderShelf
from gyre_embedding.adapters.triton_control import TritonModelServer
from gyre_embedding.app import build
from gyre_embedding.domain.embedders import Trained, embedder_name, with_twin
from gyre_embedding.domain.vectors import UnusableVector
from gyre_embedding.ports import ModelUnavailable, NotPlaced, Shelf
from gyre_embedding.settings import Settings
from gyre_embedding.use_cases.trained import KeepLoaded, ServeTrained
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.events.compose import compose

STORE = {"acme/minilm/t1": "1" * 64, "globex/minilm/t9": "9" * 64}
# What `gyre_models materialise-embedder` promises.
PROGRAM = """
import sys
from pathlib import Path
given = dict(zip(sys.argv[1::2], sys.argv[2::2]))
content = (Path(given["--model-dir"]) / "w").read_text()
for name in (given["--name"], given["--name"] + "-query"):
    config = Path(given["--repository"]) / name / "config.pbtxt"
    told = 'parameters { key: "gyre_content_sha256" value { string_value: "%s" } }\\n' % content
    if config.exists() and config.read_text() != told:
        sys.exit(f"error: {name} stands for other content already")
    config.parent.mkdir(parents=True, exist_ok=True)
    config.write_text(told)
"""


def trained(uri: str = "acme/minilm/t1", name: str = "minilm") -> Trained:
    return Trained(name, 1, uri, STORE.get(uri, ""))


@pytest.fixture(params=["memory", "folder"])
def shelf(request: pytest.FixtureRequest, tmp_path: Path) -> Shelf:
    if request.param == "memory":
        return MemoryShelf(STORE)
    for uri, content in STORE.items():
        (tmp_path / "store" / uri).mkdir(parents=True)
        (tmp_path / "store" / uri / "w").write_text(content)
    (tmp_path / "place.py").write_text(PROGRAM)
    command = [sys.executable, str(tmp_path / "place.py")]
    return FolderShelf(command, tmp_path / "store", tmp_path / "repository")


async def test_an_embedder_lies_there_twice_until_it_is_removed(shelf: Shelf) -> None:
    assert await shelf.names() == frozenset()
    assert await shelf.content("emb-minilm-v1") is None
    for _ in range(2):
        await shelf.place("emb-minilm-v1", "acme/minilm/t1")
    assert await shelf.names() == set(with_twin("emb-minilm-v1"))
    assert await shelf.content("emb-minilm-v1") == "1" * 64
    for _ in range(2):
        await shelf.remove("emb-minilm-v1")
    assert await shelf.names() == {"emb-minilm-v1-query"}


async def test_a_name_never_changes_its_content_and_what_is_not_in_the_store_is_not_placed(
    shelf: Shelf,
) -> None:
    await shelf.place("emb-minilm-v1", "acme/minilm/t1")
    with pytest.raises(NotPlaced, match="other content"):
        await shelf.place("emb-minilm-v1", "globex/minilm/t9")
    for uri in ("nowhere", "../outside", "/etc", ""):
        with pytest.raises(NotPlaced, match="no folder of the model store"):
            await shelf.place("emb-other-v1", uri)


@pytest.mark.parametrize(
    ("program", "seconds", "error"),
    [
        ("import sys; sys.exit('error: it cannot be converted')", 60.0, NotPlaced),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", 60.0, ModelUnavailable),
        ("raise OSError('disk full')", 60.0, ModelUnavailable),
        ("import time; time.sleep(600)", 0.1, ModelUnavailable),
    ],
)
async def test_only_what_no_repetition_helps_is_refused_for_good(
    tmp_path: Path, program: str, seconds: float, error: type[Exception]
) -> None:
    (tmp_path / "one").mkdir()
    shelf = FolderShelf([sys.executable, "-c", program], tmp_path, tmp_path, seconds=seconds)
    with pytest.raises(error):
        await shelf.place("emb-one-v1", str(tmp_path / "one"))
    with pytest.raises(ModelUnavailable):
        await FolderShelf(["/no/program"], tmp_path, tmp_path).place("emb-one-v1", "one")
    with pytest.raises(NotPlaced, match="no command"):
        await FolderShelf((), tmp_path, tmp_path).place("emb-one-v1", "one")


async def test_two_tenants_models_of_one_name_are_both_served() -> None:
    shelf = MemoryShelf(STORE)
    server = MemoryModelServer(shelf)
    serve = ServeTrained(shelf, server, server)
    names = [(await serve.bring(trained(uri))).embedder for uri in (*STORE, *STORE)]
    assert names == ["emb-minilm-v1", "emb-minilm-v1-99999999"] * 2
    assert server.loaded == {model for name in names for model in with_twin(name)}


def test_every_name_of_the_registry_becomes_one_that_the_model_server_takes() -> None:
    long = Trained("All_MiniLM.L6-" + "x" * 60, 123456, "", "f" * 64)
    name = embedder_name(long, marked=True)
    assert name.startswith("emb-all_minilm.l6-xxx")
    assert len(with_twin(name)[1]) <= 63


async def test_one_that_makes_unusable_vectors_leaves_nothing() -> None:
    shelf = MemoryShelf(STORE)
    server = MemoryModelServer(shelf)
    serve = ServeTrained(shelf, server, OneVector(server))
    with pytest.raises(UnusableVector, match="one vector"):
        await serve.bring(trained())
    assert (shelf.placed, server.loaded) == ({}, set())


class OneVector:
    def __init__(self, server: MemoryModelServer) -> None:
        self._server = server

    def named(self, name: str) -> MemoryEmbeddingModel:
        model = self._server.named(name)
        model.limit = 2
        return model


async def test_after_a_restart_all_are_loaded_again_and_a_broken_one_holds_up_none() -> None:
    shelf, failed = MemoryShelf(STORE), []
    server = Picky(shelf)
    for name in ("emb-a-v1", "emb-b-v1", "emb-c-v1"):
        await shelf.place(name, "acme/minilm/t1")
    keep = KeepLoaded(shelf, server, failed=failed.append)
    server.available = False
    with pytest.raises(ModelUnavailable):
        await keep.look()
    server.available = True
    good = sorted({*with_twin("emb-a-v1"), *with_twin("emb-c-v1")})
    assert await keep.look() == good
    assert await keep.look() == []
    assert [str(error) for error in failed] == ["no", "no"]  # and not at every look


class Picky(MemoryModelServer):
    async def load(self, name: str) -> None:
        if name.startswith("emb-b"):
            raise ModelUnavailable("no")
        await super().load(name)


async def test_a_model_server_that_is_away_is_one_that_may_come_back() -> None:
    async with grpc.aio.insecure_channel("127.0.0.1:1") as channel:
        server = TritonModelServer(channel, loading=0.2)
        for call in (server.load("emb-x-v1"), server.unload("emb-x-v1"), server.states()):
            with pytest.raises(ModelUnavailable, match=r"UNAVAILABLE|DEADLINE"):
                await call


@dataclass
class Running:
    """The service on a bus in memory."""

    exchange: MemoryExchange
    server: MemoryModelServer

    async def hear(self, event: ModelTrained | IndexAborted, tenant: str = "acme") -> None:
        self.exchange.publish(compose(event, tenant=tenant, entity_id="x", cause=None))
        await self.exchange.settled(60.0)

    @property
    def said(self) -> list[EmbedderReady]:
        subject = "gyre.embedding.v1.embedder_ready."
        stored = [one for one in self.exchange.messages if one.subject.startswith(subject)]
        return [EmbedderReady.FromString(one.data) for one in stored]


@pytest.fixture
async def running() -> AsyncIterator[Running]:
    settings = Settings(
        grpc_address="127.0.0.1:0", metrics_port=0, reindex_tenants=frozenset({"acme"})
    )
    exchange, shelf = MemoryExchange(), MemoryShelf(STORE)
    server = MemoryModelServer(shelf)
    bus = Bus(settings, "embedding", link=MemoryLink(exchange))
    service = build(
        settings,
        bus=bus,
        model=MemoryEmbeddingModel(),
        models=server,
        shelf=shelf,
        server=server,
    )
    await service.start()
    yield Running(exchange, server)
    await service.stop()


def told(kind: int = MODEL_KIND_EMBEDDING, uri: str = "acme/minilm/t1") -> ModelTrained:
    model = Model(name="minilm", version=1, kind=kind, uri=uri, content_hash=STORE.get(uri, ""))
    return ModelTrained(model=model, training=Training(training_id="t1"))


async def test_a_trained_embedder_is_told_when_it_is_ready(running: Running) -> None:
    running.server.available = False
    running.exchange.publish(compose(told(), tenant="acme", entity_id="x", cause=None))
    while not running.server.shelf.placed:  # noqa: ASYNC110
        await asyncio.sleep(0.02)
    running.server.available = True
    await running.exchange.settled(60.0)
    [ready] = running.said
    assert (ready.embedder, ready.dimension, ready.model) == ("emb-minilm-v1", 64, "minilm/1")
    assert (ready.training_id, ready.content_hash) == ("t1", "1" * 64)
    assert running.exchange.dead_letters == []


async def test_what_is_not_for_it_is_left_alone(running: Running) -> None:
    await running.hear(told(MODEL_KIND_LANGUAGE))
    await running.hear(told(), tenant="globex")
    assert (running.said, running.server.shelf.placed) == ([], {})


async def test_what_cannot_be_placed_is_a_dead_letter_with_its_reason(running: Running) -> None:
    await running.hear(told(uri="acme/minilm/gone"))
    [letter] = running.exchange.dead_letters
    assert letter.headers["gyre-reason"] == "not_placed"
    assert running.said == []


@pytest.mark.parametrize("needed", [True, False])
async def test_an_embedder_goes_with_the_last_index_that_needs_it(
    running: Running, needed: bool
) -> None:
    await running.hear(told())
    index = IndexVersion(name="gyre_default_1", embedder="emb-minilm-v1", dimension=64)
    await running.hear(IndexAborted(index=index, embedder_needed=needed))
    assert bool(running.server.loaded) is needed
    operators = IndexVersion(name="gyre_default_2", embedder="all-minilm-l6-v2", dimension=64)
    await running.hear(IndexAborted(index=operators))
    assert running.exchange.dead_letters == []
