"""A trained embedder on the real model server: placed, loaded, asked, kept loaded, and gone."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from gyre_embedding.adapters.repository import FolderShelf
from gyre_embedding.adapters.triton import TritonEmbeddingModels
from gyre_embedding.adapters.triton_control import TritonModelServer
from gyre_embedding.domain.embedders import Trained, with_twin
from gyre_embedding.ports import ModelUnavailable, ModelUnknown, NotPlaced
from gyre_embedding.use_cases.trained import KeepLoaded, ServeTrained

ROOT = Path(__file__).parents[3]
sys.path.append(str(ROOT / "infra" / "local"))

from gyre_local.triton import TritonServer, TritonSettings  # noqa: E402

pytestmark = pytest.mark.models
ENVIRONMENT = ROOT / ".venv-models"
MODELS = (str(ENVIRONMENT / "bin" / "python"), "-m", "gyre_models")
KEY = "secret"


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With one trained encoder, `acme/tiny/training-1`, and one that was changed since."""
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")
    store = tmp_path_factory.mktemp("store")
    folder = store / "acme" / "tiny" / "training-1"
    subprocess.run([*MODELS, "tiny", "--encoder", folder], check=True, capture_output=True)
    damaged = shutil.copytree(folder, folder.with_name("damaged"))
    (damaged / "config.json").write_text("{}")
    return store


@pytest.fixture(scope="module")
def server(store: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    state = tmp_path_factory.mktemp("triton")
    with TritonServer(TritonSettings(ENVIRONMENT, state, admin_key=KEY)) as running:
        yield running


async def test_it_comes_is_kept_loaded_and_goes(server: TritonServer, store: Path) -> None:
    shelf = FolderShelf([*MODELS, "materialise-embedder"], store, server.repository)
    async with grpc.aio.insecure_channel(server.address) as channel:
        control = TritonModelServer(channel, admin_key=KEY)
        models = TritonEmbeddingModels(channel, timeout=60.0)
        serve, keep = ServeTrained(shelf, control, models), KeepLoaded(shelf, control)
        trained = Trained("Tiny", 1, str(store / "acme" / "tiny" / "training-1"), "not known")
        ready = await serve.bring(trained)
        assert (ready.embedder, ready.dimension) == ("emb-tiny-v1", 64)
        assert await shelf.names() == set(with_twin(ready.embedder))
        assert await keep.look() == []
        for model in with_twin(ready.embedder):
            await control.unload(model)
        await _gone(control, ready.embedder)
        assert await keep.look() == sorted(with_twin(ready.embedder))
        [made] = await models.named(ready.embedder).embed(["router light"], urgent=True)
        assert len(made.vector) == 4 * ready.dimension
        for _ in range(2):
            await serve.withdraw(ready.embedder)
        assert list(server.repository.iterdir()) == []
        async with asyncio.timeout(60):
            while await _answers(models, ready.embedder):  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        with pytest.raises(ModelUnavailable, match="did not load"):
            await control.load(ready.embedder)


async def test_changed_weights_are_refused_with_the_reason(
    server: TritonServer, store: Path
) -> None:
    shelf = FolderShelf([*MODELS, "materialise-embedder"], store, server.repository)
    with pytest.raises(NotPlaced, match="sha256"):
        await shelf.place("emb-damaged-v1", "acme/tiny/damaged")


async def _answers(models: TritonEmbeddingModels, embedder: str) -> bool:
    try:
        await models.named(embedder).embed(["router light"], urgent=False)
    except ModelUnknown:
        return False
    return True


async def _gone(control: TritonModelServer, embedder: str) -> None:
    async with asyncio.timeout(60):
        while "READY" in map((await control.states()).get, with_twin(embedder)):  # noqa: ASYNC110
            await asyncio.sleep(0.1)
