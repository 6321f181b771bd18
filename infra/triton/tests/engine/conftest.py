"""Tiny random models with a real tokenizer, and engines over them, in this process.

`trtllm` runs over the stand-in of `tensorrt_llm`; what a test says holds for both engines.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from gyre_models.contract.intake import Engine
from gyre_models.tiny import ARCHITECTURES, make_model
from gyre_models.torch_engine.checkpoint import Checkpoint, load
from gyre_models.torch_engine.engine import TorchEngine
from gyre_models.torch_engine.settings import EngineSettings
from gyre_models.trtllm_engine.engine import TrtllmEngine
from gyre_models.trtllm_engine.settings import checked
from tensorrt_llm.engine import Engine as StandIn

Start = Callable[..., Engine]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session", params=ARCHITECTURES)
def model_dir(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp(request.param), request.param)


@pytest.fixture(scope="session")
def llama_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("llama-alone"), "llama")


@pytest.fixture(scope="session")
def llama(llama_dir: Path) -> Checkpoint:
    return load(llama_dir, EngineSettings())


@pytest.fixture(params=["torch", "trtllm"])
def start(request: pytest.FixtureRequest) -> Iterator[Start]:
    """Starts engines of both kinds that end with the test; settings by the names of `torch`."""
    yield from _starter({"torch": torch_engine, "trtllm": trtllm_engine}[request.param])


@pytest.fixture
def start_torch() -> Iterator[Start]:
    yield from _starter(torch_engine)


@pytest.fixture
def start_trtllm() -> Iterator[Start]:
    yield from _starter(trtllm_engine)


@pytest.fixture
def slow(llama: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Makes every step of engines over `llama` take longer, in seconds."""
    import time

    real = llama.model.forward

    def slow_down(seconds: float) -> None:
        def forward(*args: object, **options: object) -> object:
            time.sleep(seconds)
            return real(*args, **options)

        monkeypatch.setattr(llama.model, "forward", forward)
        monkeypatch.setattr(StandIn, "pause_s", seconds)

    return slow_down


def _starter(make: Callable[..., Engine]) -> Iterator[Start]:
    engines: list[Engine] = []

    def starter(checkpoint: Checkpoint, **settings: Any) -> Engine:
        engines.append(make(checkpoint, settings))
        return engines[-1]

    yield starter
    for engine in engines:
        engine.close()


def torch_engine(checkpoint: Checkpoint, settings: dict[str, Any]) -> Engine:
    return TorchEngine(checkpoint, EngineSettings(**settings))


def trtllm_engine(checkpoint: Checkpoint, settings: dict[str, Any]) -> Engine:
    """The same settings under their names of TensorRT-LLM."""
    cache = {"tokens_per_block": settings.pop("prefix_block", 32)}
    cache["enable_block_reuse"] = settings.pop("prefix_cache_mb", 1) > 0
    llm = {"kv_cache_config": cache, **settings.pop("llm", {})}
    llm |= {"max_batch_size": settings.pop("slots", 32)}
    llm |= {"max_num_tokens": settings.pop("prefill_tokens_per_step", 8192)}
    llm |= {"max_seq_len": settings.pop("max_length", 2048)}
    directory = Path(checkpoint.model.config._name_or_path)
    return TrtllmEngine.open(directory, checked({"llm": llm, **settings}))
