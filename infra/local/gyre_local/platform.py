"""The platform of one machine: which programs, in which order, with which settings."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from gyre_local import probes
from gyre_local.milvus import MilvusServer, MilvusSettings
from gyre_local.models import EMBEDDER, QUERY_EMBEDDER, encoder_folder, tokenizer_file
from gyre_local.nats import NatsServer, NatsSettings
from gyre_local.program import Program
from gyre_local.server import Server
from gyre_local.settings import REPOSITORY, LocalSettings
from gyre_local.triton import TritonServer, TritonSettings

_log = logging.getLogger(__name__)
HOST = "127.0.0.1"
SERVICES = (
    "ingestion",
    "embedding",
    "retrieval",
    "inference",
    "feedback",
    "evaluation",
    "retraining",
)
SERVERS = ("nats", "milvus", "triton")
# Service -> what must answer before it takes events from the bus; the others start meanwhile.
AWAITS = {"embedding": ("triton",), "retrieval": ("milvus",)}
# Service -> services that it calls, which must outlive it.
ASKS = {
    "retrieval": ("embedding",),
    "inference": ("retrieval", "embedding"),
    "evaluation": ("inference", "retrieval", "embedding"),
    "retraining": ("feedback", "evaluation"),
}


class Platform:
    """Everything that runs, given the ports."""

    def __init__(self, settings: LocalSettings, ports: Mapping[str, int]) -> None:
        self._settings, self._ports = settings, ports
        state = settings.state
        self._nats = NatsServer(
            NatsSettings(state / "nats", port=ports["nats"], monitor_port=ports["nats_monitor"])
        )
        self._milvus = MilvusServer(MilvusSettings(state / "milvus", port=ports["milvus"]))
        self._models = (EMBEDDER, QUERY_EMBEDDER, settings.model_name)
        self._triton = TritonServer(
            TritonSettings(
                environment=settings.models_environment,
                state=state / "triton",
                grpc_port=ports["triton"],
                metrics_port=ports["triton_metrics"],
                models=self._models,
                exit_timeout_s=10,  # whoever asks has stopped before
            )
        )

    def programs(self) -> list[Program]:
        """In the order in which they start; each stops when what needs it is gone."""
        return [
            self._server("nats", self._nats),
            self._server("milvus", self._milvus),
            self._server(
                "triton", self._triton, healthy=self._triton_healthy, heal=self._heal_triton
            ),
            self._provisioner(),
            *(self._service(name) for name in SERVICES),
            self._edge(),
        ]

    def environment(self) -> dict[str, str]:
        """What every service and every client of this platform needs to know."""
        addresses = {f"GYRE_{name.upper()}_ADDRESS": self._address(name) for name in SERVICES}
        return {
            **addresses,
            "GYRE_EDGE_ADDRESS": self._address("edge"),
            "GYRE_NATS_URL": f"nats://{self._address('nats')}",
            "GYRE_NATS_MONITOR_URL": f"http://{self._address('nats_monitor')}",
            "GYRE_MILVUS_URL": f"http://{self._address('milvus')}",
            "GYRE_TRITON_ADDRESS": self._address("triton"),
            "GYRE_EMBEDDING_MODEL": EMBEDDER,
            "GYRE_EMBEDDING_QUERY_MODEL": QUERY_EMBEDDER,
            "GYRE_LANGUAGE_MODEL": self._settings.model_name,
        }

    def _server(self, name: str, server: Server, **other: Any) -> Program:
        return Program(
            name,
            server.command(),
            server.environment(),
            **{"healthy": server.healthy, **other},
            prepare=server.prepare,
            stop_signal=server.stop_signal,
            address=server.address,
        )

    def _provisioner(self) -> Program:
        command = (sys.executable, "-m", "gyre_provisioner", "bus", "--apply")
        return Program("provisioner", command, self.environment(), after=("nats",), once=True)

    def _service(self, name: str) -> Program:
        address = self._address(name)
        return Program(
            name,
            (sys.executable, "-m", f"gyre_{name}"),
            self.environment() | self._own(name),
            after=("provisioner", *AWAITS.get(name, ())),
            uses=(*SERVERS, *ASKS.get(name, ())),
            healthy=lambda: serving(address),
            address=address,
        )

    def _edge(self) -> Program:
        address = self._address("edge")
        return Program(
            "edge",
            (sys.executable, "-m", "gyre_edge"),
            self.environment() | {"GYRE_METRICS_PORT": str(self._ports["edge_metrics"])},
            uses=("embedding", "inference"),
            healthy=lambda: probes.replies(f"http://{address}/healthz"),
            address=address,
        )

    def _own(self, name: str) -> dict[str, str]:
        folder = self._settings.state / name
        folder.mkdir(parents=True, exist_ok=True)
        book = self._settings.state / "mlflow" / "mlflow.db"
        return {
            "GYRE_GRPC_ADDRESS": self._address(name),
            "GYRE_METRICS_PORT": str(self._ports[f"{name}_metrics"]),
            "GYRE_DATABASE_URL": f"sqlite+aiosqlite:///{folder / name}.db",
            "GYRE_MLFLOW_TRACKING_URI": f"sqlite:///{book}",
            "GYRE_TOKENIZER_FILE": str(tokenizer_file(self._settings)),
            "GYRE_FEATURES_FOLDER": str(folder / "features"),
            "GYRE_JOBS_FOLDER": str(folder / "jobs"),
            "GYRE_DATASETS_FOLDER": str(folder / "datasets"),
            "GYRE_MODELS": str(self._settings.state / "retraining" / "models"),
            "GYRE_TRITON_REPOSITORY": str(self._triton.repository),
            "GYRE_MATERIALISE_COMMAND": json.dumps(self._materialise()),
            "GYRE_MATERIALISE_EMBEDDER_COMMAND": json.dumps(self._materialise_embedder()),
            "GYRE_MODEL_IMPORTS": json.dumps(self._bases()),
            "GYRE_MODELS_PYTHON": str(self._settings.models_environment / "bin" / "python"),
            "GYRE_FEATURE_HISTORY": str(self._settings.state / "feedback" / "features"),
        }

    def _materialise(self) -> list[str]:
        """Puts a language model into the model server's repository."""
        python = self._settings.models_environment / "bin" / "python"
        engine = self._settings.model_engine
        return [str(python), "-m", "gyre_models", "materialise", "--engine", engine]

    def _materialise_embedder(self) -> list[str]:
        """Converts a trained embedding model and puts it there."""
        python = self._settings.models_environment / "bin" / "python"
        return [str(python), "-m", "gyre_models", "materialise-embedder"]

    def _bases(self) -> dict[str, dict[str, str]]:
        """Models that trainings start from."""
        return {
            EMBEDDER: {"kind": "embedding", "folder": str(encoder_folder(self._settings))},
            self._settings.model_name: {
                "kind": "language",
                "folder": str(self._settings.model_dir.absolute()),
            },
        }

    def _triton_healthy(self) -> bool:
        return not self._silent()

    def _heal_triton(self) -> None:
        """A model whose Python process died stays READY for ever: it is loaded anew."""
        control = self._triton.control()
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(control.reload, self._silent()))
        except grpc.RpcError:
            _log.warning("a model could not be loaded anew", exc_info=True)
        finally:
            control.close()

    def _silent(self) -> list[str]:
        """Models that do not answer; asked at once, as each may take its whole time."""
        with ThreadPoolExecutor() as pool:
            answers = pool.map(self._answers, self._models)
            return [name for name, well in zip(self._models, answers, strict=True) if not well]

    def _answers(self, model: str) -> bool:
        writes = model == self._settings.model_name
        return (probes.writes if writes else probes.embeds)(self._triton.address, model)

    def _address(self, name: str) -> str:
        return f"{HOST}:{self._ports[name]}"


def serving(address: str, timeout: float = 2.0) -> bool:
    """True when the gRPC health service at `address` says SERVING."""
    with grpc.insecure_channel(address) as channel:
        try:
            reply = health_pb2_grpc.HealthStub(channel).Check(
                health_pb2.HealthCheckRequest(), timeout=timeout
            )
        except grpc.RpcError:
            return False
        return bool(reply.status == health_pb2.HealthCheckResponse.SERVING)


def write_environment(path: Path, environment: Mapping[str, str]) -> None:
    """The file that clients read to find the platform."""
    path.write_text("".join(f"{name}={value}\n" for name, value in sorted(environment.items())))


def relative(path: Path) -> str:
    """For people: below the checkout where it is."""
    return str(path.relative_to(REPOSITORY)) if path.is_relative_to(REPOSITORY) else str(path)
