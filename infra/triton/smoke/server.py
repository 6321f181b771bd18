"""A server for the smoke test where none was named: this machine's, or one of an image."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
from gyre_local.settings import REPOSITORY
from gyre_local.triton import TritonServer, TritonSettings

ENVIRONMENT = REPOSITORY / ".venv-models"
NAME = "gyre-smoke"
PORTS = (8001, 8002)


@dataclass(frozen=True)
class Served:
    """Where a model is: gRPC address, metrics page, the model's name."""

    address: str
    metrics_url: str
    model: str


@dataclass(frozen=True)
class Wanted:
    """What to serve. image: NVIDIA's with our engines, run by Docker; empty: this machine's."""

    engine: str
    model_dir: Path
    image: str = ""
    options: Sequence[str] = ()


@contextmanager
def served(wanted: Wanted, state: Path) -> Iterator[Served]:
    """Puts the model into a repository of its own and serves it until the end of the block."""
    repository = state / "triton" / "repository"
    _materialise(wanted, repository)
    with _container(wanted, state) if wanted.image else _local(repository, state) as found:
        yield found


@contextmanager
def _local(repository: Path, state: Path) -> Iterator[Served]:
    settings = TritonSettings(ENVIRONMENT, state / "server", repository=repository)
    with TritonServer(settings) as server:
        _load(server)
        yield Served(server.address, server.metrics_url, NAME)


def _load(server: TritonServer) -> None:
    try:
        server.control().load(NAME)
    except grpc.RpcError as error:
        raise SystemExit(f"the model cannot be loaded: {error.details()}") from None


@contextmanager
def _container(wanted: Wanted, state: Path) -> Iterator[Served]:
    grpc_port, metrics_port = PORTS
    started = subprocess.run(
        docker_command(wanted.image, state), check=True, capture_output=True, text=True
    )
    try:
        metrics = f"http://127.0.0.1:{metrics_port}/metrics"
        yield Served(f"127.0.0.1:{grpc_port}", metrics, NAME)
    finally:
        subprocess.run(["docker", "stop", started.stdout.strip()], check=False)


def docker_command(image: str, state: Path) -> list[str]:
    """As the service `triton-gpu` of docker-compose.yml, with its ports open on the loopback."""
    published = [f"--publish=127.0.0.1:{port}:{port}" for port in PORTS]
    return [
        *("docker", "run", "--rm", "--detach", "--gpus=all", "--init", "--read-only"),
        *("--tmpfs=/tmp:exec,size=8g", "--shm-size=2g", "--cap-drop=ALL"),
        *("--ulimit=memlock=-1", "--ulimit=stack=67108864", *published),
        f"--volume={state.absolute()}:/models:ro",
        *("--env=GYRE_LOCAL_STATE=/models", f"--env=GYRE_LOCAL_MODEL_NAME={NAME}", image),
    ]


def _materialise(wanted: Wanted, repository: Path) -> None:
    command = [str(ENVIRONMENT / "bin" / "python"), "-m", "gyre_models", "materialise"]
    command += ["--engine", wanted.engine, "--name", NAME, "--repository", str(repository)]
    command += ["--model-dir", str(wanted.model_dir)]
    command += [f"--set={option}" for option in wanted.options]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=_environment())
    if done.returncode:
        raise SystemExit(f"{json.dumps(command)} failed:\n{done.stderr[-2000:]}")


def _environment() -> dict[str, str]:
    return {**os.environ, "TRANSFORMERS_VERBOSITY": "error"}
