"""A tiny language model on the real server. The suite in `engine/` runs apart: it needs torch."""

from __future__ import annotations

import importlib.util
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gyre_local.triton import TritonServer, TritonSettings

from .collector import Collector

collect_ignore = [] if importlib.util.find_spec("torch") else ["engine", "standin"]
ROOT = Path(__file__).parents[3]
ENVIRONMENT = ROOT / ".venv-models"
STANDIN = Path(__file__).parent / "standin" / "tensorrt_llm"
Models = Callable[..., None]
# Two places to write in, three to wait, prompt starts in blocks of eight tokens.
SETTINGS = {
    "torch": {"slots": 2, "max_waiting": 3, "prefix_block": 8},
    "trtllm": {
        "max_waiting": 3,
        "llm": {"max_batch_size": 2, "kv_cache_config": {"tokens_per_block": 8}},
    },
}


@pytest.fixture(scope="session")
def models() -> Models:
    """Runs `python -m gyre_models ...` in the model environment."""
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")

    def run(*arguments: object) -> None:
        command = [ENVIRONMENT / "bin" / "python", "-m", "gyre_models", *map(str, arguments)]
        subprocess.run(command, check=True, capture_output=True, timeout=300)

    return run


@pytest.fixture(scope="session")
def collector() -> Iterator[Collector]:
    collector = Collector()
    yield collector
    collector.close()


@pytest.fixture(scope="session", params=["torch", "trtllm"])
def tiny_server(
    request: pytest.FixtureRequest,
    models: Models,
    collector: Collector,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[TritonServer]:
    """A tritonserver with the model `gyre-tiny` and its adapter `legal`, traced.

    `trtllm` runs over the stand-in of `tensorrt_llm`, which lies beside its `model.py`.
    """
    engine, state = request.param, tmp_path_factory.mktemp("triton-llm")
    # A killed model process owes answers for ever: the server would wait for them at its end.
    server = TritonServer(TritonSettings(ENVIRONMENT, state / "server", exit_timeout_s=3))
    models("tiny", state / "model", "--adapter", "legal")
    options = [f"--set={key}={json.dumps(value)}" for key, value in SETTINGS[engine].items()]
    where = ["--model-dir", state / "model", "--repository", server.repository]
    models("materialise", "--engine", engine, "--name", "gyre-tiny", *where, *options)
    if engine == "trtllm":
        shutil.copytree(STANDIN, server.repository / "gyre-tiny" / "1" / STANDIN.name)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GYRE_OTLP_ENDPOINT", collector.endpoint)
        with server:
            server.control().load("gyre-tiny")
            yield server
