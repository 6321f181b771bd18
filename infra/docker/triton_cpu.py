"""The model server's container: `models` prepares its repository, `serve` runs it, `healthy` asks.

What is started, and how, is `gyre_local`'s: the container and a laptop run the same server.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from gyre_local.models import EMBEDDER, QUERY_EMBEDDER, prepare_models
from gyre_local.settings import LocalSettings
from gyre_local.triton import TritonControl, TritonServer, TritonSettings
from pydantic import SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class ContainerSettings(BaseSettings):
    """Read with the prefix `GYRE_`; `GYRE_LOCAL_*` say where models lie and their names."""

    model_config = SettingsConfigDict(
        env_prefix="GYRE_", extra="ignore", use_attribute_docstrings=True
    )

    triton_admin_key: SecretStr = SecretStr("")
    """Key of the restricted calls (repository, configuration, shared memory, logging, trace)."""
    triton_host: str = "0.0.0.0"
    """Where the server listens: only the platform's network reaches the container."""
    triton_grpc_port: int = 8001
    """Port of inference."""
    triton_metrics_port: int = 8002
    """Port of the Prometheus metrics."""
    otlp_endpoint: str = ""
    """OpenTelemetry collector (gRPC) for the models' spans: their processes inherit it."""
    triton_scratch: Path = Path("/tmp/triton")
    """Folder of this start alone."""


def serve(container: ContainerSettings, local: LocalSettings) -> None:
    """Becomes the server; never returns."""
    server = TritonServer(
        TritonSettings(
            environment=local.models_environment,
            state=container.triton_scratch,
            repository=local.state / "triton" / "repository",
            host=container.triton_host,
            grpc_port=container.triton_grpc_port,
            metrics_port=container.triton_metrics_port,
            admin_key=container.triton_admin_key.get_secret_value(),
            models=models(local),
        )
    )
    server.prepare()
    command = server.command()
    os.execve(command[0], command, {**os.environ, **server.environment()})


def healthy(container: ContainerSettings, local: LocalSettings) -> bool:
    """Every model that is served at start is ready."""
    key = container.triton_admin_key.get_secret_value()
    control = TritonControl(f"127.0.0.1:{container.triton_grpc_port}", key)
    try:
        return all(control.model_ready(name) for name in models(local))
    finally:
        control.close()


def models(local: LocalSettings) -> tuple[str, ...]:
    return (EMBEDDER, QUERY_EMBEDDER, local.model_name)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["models", "serve", "healthy"])
    command = parser.parse_args().command
    container, local = ContainerSettings(), LocalSettings()
    if command == "models":
        print(prepare_models(local))
    elif command == "serve":
        serve(container, local)
    elif not healthy(container, local):
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
