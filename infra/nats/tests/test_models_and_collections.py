"""The provisioner on a real Triton and on a real retrieval service."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from gyre_local.triton import TritonServer, TritonSettings
from gyre_provisioner.__main__ import DRIFTED, UNREACHABLE, main
from gyre_retrieval.adapters.memory import MemoryEmbedder, MemoryVectorIndex
from gyre_retrieval.adapters.tables import metadata
from gyre_retrieval.app import build
from gyre_retrieval.settings import Settings
from gyre_runtime.bus import Bus
from gyre_runtime.bus.memory import MemoryExchange, MemoryLink
from gyre_runtime.database import Database

ENVIRONMENT = Path(__file__).parents[3] / ".venv-models"
CONFIG = 'backend: "python"\nmax_batch_size: 0\ninstance_group [{ kind: KIND_CPU count: 1 }]\n'
WORKS = "class TritonPythonModel:\n    def execute(self, requests):\n        return []\n"
BROKEN = "raise RuntimeError('no weights here')\n"


@pytest.fixture(scope="module")
def triton(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")
    state = tmp_path_factory.mktemp("triton")
    server = TritonServer(TritonSettings(ENVIRONMENT, state, admin_key="secret"))
    for name, program in (("passages", WORKS), ("queries", WORKS), ("broken", BROKEN)):
        folder = server.repository / name / "1"
        folder.mkdir(parents=True)
        (folder / "model.py").write_text(program)
        (folder.parent / "config.pbtxt").write_text(CONFIG)
    with server:
        yield server


def wants(monkeypatch: pytest.MonkeyPatch, server: TritonServer, language_model: str) -> None:
    wanted = {
        "GYRE_TRITON_ADDRESS": server.address,
        "GYRE_TRITON_ADMIN_KEY": "secret",
        "GYRE_EMBEDDING_MODEL": "passages",
        "GYRE_EMBEDDING_QUERY_MODEL": "queries",
        "GYRE_LANGUAGE_MODEL": language_model,
    }
    for name, value in wanted.items():
        monkeypatch.setenv(name, value)


def test_models_are_loaded_and_a_second_run_changes_nothing(triton, monkeypatch, capsys):
    wants(monkeypatch, triton, "passages")
    assert main(["models", "--check"]) == DRIFTED
    assert "model queries: missing" in capsys.readouterr().out
    assert main(["models"]) == 0
    assert main(["models", "--check"]) == 0
    control = triton.control()
    assert control.model_ready("passages")
    assert control.model_ready("queries")
    control.close()


@pytest.mark.parametrize(
    ("model", "told"),
    [("broken", "no weights here"), ("nowhere", "folder is absent, wanted in the repository")],
)
def test_a_model_that_cannot_be_loaded_is_told_with_why(triton, monkeypatch, capsys, model, told):
    wants(monkeypatch, triton, model)
    assert main(["models"]) == DRIFTED
    shown = capsys.readouterr().out
    assert f"model {model}: " in shown
    assert told in shown


def test_a_wrong_key_is_an_error_that_names_the_server(triton, monkeypatch, capsys):
    wants(monkeypatch, triton, "passages")
    monkeypatch.setenv("GYRE_TRITON_ADMIN_KEY", "guessed")
    assert main(["models"]) == UNREACHABLE
    assert "Triton" in capsys.readouterr().err


@pytest.fixture
async def retrieval(tmp_path: Path) -> AsyncIterator[str]:
    settings = Settings(grpc_address="127.0.0.1:0", metrics_port=0)
    database = Database(f"sqlite+aiosqlite:///{tmp_path}/retrieval.db", metadata)
    bus = Bus(settings, "retrieval", database=database, link=MemoryLink(MemoryExchange()))
    embedder = MemoryEmbedder("embedder", lambda text: [1.0])
    service = build(
        settings, index=MemoryVectorIndex(), embedder=embedder, database=database, bus=bus
    )
    await service.start()
    assert service.rpc is not None
    yield f"127.0.0.1:{service.rpc.port}"
    await service.stop()


async def test_collections_are_made_for_the_tenant_of_the_key(retrieval, monkeypatch, capsys):
    monkeypatch.setenv("GYRE_RETRIEVAL_ADDRESS", retrieval)
    monkeypatch.setenv("GYRE_COLLECTIONS", json.dumps(["default", "manuals"]))
    assert await asyncio.to_thread(main, ["collections", "--check"]) == DRIFTED
    assert "collection manuals: missing" in capsys.readouterr().out
    assert await asyncio.to_thread(main, ["collections"]) == 0
    assert await asyncio.to_thread(main, ["collections", "--check"]) == 0


async def test_a_refused_key_makes_no_collection(retrieval, monkeypatch, capsys):
    monkeypatch.setenv("GYRE_RETRIEVAL_ADDRESS", retrieval)
    monkeypatch.setenv("GYRE_API_KEY", "guessed")
    assert await asyncio.to_thread(main, ["collections"]) == UNREACHABLE
    assert "UNAUTHENTICATED" in capsys.readouterr().err


def test_an_unknown_part_is_refused_with_the_known_ones(capsys):
    with pytest.raises(SystemExit):
        main(["nats"])
    assert "bus, models, collections" in capsys.readouterr().err
