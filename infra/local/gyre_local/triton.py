"""A real Triton inference server on this machine's CPU, from the `nvidia-pytriton` wheel.

The wheel lives in the model environment (torch, numpy below 2), never in the services' one:
this module only finds its files, builds the command line and talks to the server over gRPC.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import grpc
from tritonclient.grpc import service_pb2 as wire
from tritonclient.grpc import service_pb2_grpc

from gyre_local.ports import free_port, refuse_taken
from gyre_local.server import POLL, Server, ServerError

RESTRICTED = "model-repository,model-config,shared-memory,logging,trace"
KEY_NAME = "gyre-key"
SHARED_MEMORY = Path("/dev/shm")
GRACE_S = 3.0


@dataclass(frozen=True)
class TritonSettings:
    """Where the server lives and listens.

    environment: the model environment (a virtual environment with `nvidia-pytriton`).
    state: a folder of this server alone: backends, log and, by default, the model repository.
    grpc_port, metrics_port: 0 takes a free port. http_port: None leaves HTTP off.
    admin_key: when set, repository, configuration, shared memory, logging and tracing calls
        need it (metadata `triton-grpc-protocol-gyre-key`).
    models: loaded at start; others are loaded by `TritonControl.load`.
    """

    environment: Path
    state: Path
    repository: Path | None = None
    host: str = "127.0.0.1"
    grpc_port: int = 0
    metrics_port: int = 0
    http_port: int | None = None
    admin_key: str = ""
    models: tuple[str, ...] = ()
    exit_timeout_s: int = 20


@dataclass(frozen=True)
class ModelEnvironment:
    """The files of the model environment that the server needs."""

    bin: Path
    packages: Path
    library: Path

    @classmethod
    def at(cls, root: Path) -> ModelEnvironment:
        python = root.absolute() / "bin" / "python"
        if not python.exists():
            raise ServerError(f"no model environment at {root}: make it first (`make models-env`)")
        script = (
            "import sysconfig; print(sysconfig.get_path('purelib'));"
            "print(sysconfig.get_config_var('LIBDIR'))"
        )
        reply = subprocess.run([python, "-c", script], check=True, capture_output=True, text=True)
        packages, library = map(Path, reply.stdout.split("\n")[:2])
        if not (packages / "pytriton" / "tritonserver").is_dir():
            raise ServerError(f"{root} has no nvidia-pytriton: install it there with --no-deps")
        return cls(bin=python.parent, packages=packages, library=library)

    @property
    def triton(self) -> Path:
        return self.packages / "pytriton" / "tritonserver"

    @property
    def stub(self) -> Path:
        return self.triton / "python_backend_stubs" / "3.11" / "triton_python_backend_stub"


class TritonControl:
    """Readiness and the repository API of one server, over its own channel.

    Calls raise `grpc.RpcError`; load and unload may be repeated.
    """

    def __init__(self, address: str, admin_key: str = "") -> None:
        self._channel = grpc.insecure_channel(address)
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)
        self._admin = [(f"triton-grpc-protocol-{KEY_NAME}", admin_key)] if admin_key else []

    def ready(self, timeout: float = 2.0) -> bool:
        return _answers(lambda: self._stub.ServerReady(wire.ServerReadyRequest(), timeout=timeout))

    def model_ready(self, name: str, timeout: float = 2.0) -> bool:
        request = wire.ModelReadyRequest(name=name)
        return _answers(lambda: self._stub.ModelReady(request, timeout=timeout))

    def load(self, name: str, timeout: float = 300.0) -> None:
        """Returns when the model is ready; a failed load leaves an older one serving."""
        request = wire.RepositoryModelLoadRequest(model_name=name)
        self._stub.RepositoryModelLoad(request, timeout=timeout, metadata=self._admin)

    def unload(self, name: str, timeout: float = 60.0) -> None:
        """Returns when the model is gone; drain it first. Raises `ServerError` where it stays."""
        self._unload(name)
        _wait(lambda: self._gone(name), timeout)

    def reload(self, name: str, timeout: float = 300.0) -> None:
        """The only cure for a dead Python stub: server and model stay READY, load is a no-op.

        Answers of a dead stub never end, so the old model is not waited for longer than `GRACE_S`.
        """
        self._unload(name)
        with contextlib.suppress(ServerError):
            _wait(lambda: self._gone(name), GRACE_S)
        self.load(name, timeout)

    def states(self, timeout: float = 5.0) -> dict[str, str]:
        """Model name -> READY, UNAVAILABLE, LOADING, ... ("" where it was never loaded)."""
        request = wire.RepositoryIndexRequest()
        reply = self._stub.RepositoryIndex(request, timeout=timeout, metadata=self._admin)
        return {model.name: model.state for model in reply.models}

    def close(self) -> None:
        self._channel.close()

    def _unload(self, name: str) -> None:
        request = wire.RepositoryModelUnloadRequest(model_name=name)
        self._stub.RepositoryModelUnload(request, timeout=60.0, metadata=self._admin)

    def _gone(self, name: str) -> bool:
        return self.states().get(name) in (None, "UNAVAILABLE")


class TritonServer(Server):
    """Its models run in processes of their own, which go with it."""

    name = "tritonserver"

    def __init__(self, settings: TritonSettings) -> None:
        self.settings = replace(
            settings,
            grpc_port=settings.grpc_port or free_port(),
            metrics_port=settings.metrics_port or free_port(),
        )
        self._models = ModelEnvironment.at(settings.environment)
        self._state = settings.state.absolute()

    @property
    def repository(self) -> Path:
        return (self.settings.repository or self._state / "repository").absolute()

    @property
    def log(self) -> Path:
        return self._state / "triton.log"

    @property
    def address(self) -> str:
        return f"{self.settings.host}:{self.settings.grpc_port}"

    @property
    def metrics_url(self) -> str:
        return f"http://{self.settings.host}:{self.settings.metrics_port}/metrics"

    @property
    def stop_timeout_s(self) -> float:
        return self.settings.exit_timeout_s + 5.0

    @property
    def shared_memory_prefix(self) -> str:
        """The same at every start of one state folder: leftovers can be told and removed."""
        return f"gyre-{hashlib.sha256(bytes(self._state)).hexdigest()[:12]}-"

    def command(self) -> list[str]:
        return list(self._arguments())

    def environment(self) -> dict[str, str]:
        """The interpreter's own library folder stands first: otherwise the stub loads another
        libpython, and importing transformers fails. The stub takes its packages from the first
        python of PATH and ignores PYTHONPATH.
        """
        libraries = (self._models.library, self._models.packages / "nvidia_pytriton.libs")
        return {
            "LD_LIBRARY_PATH": os.pathsep.join(map(str, libraries)),
            "PATH": os.pathsep.join((str(self._models.bin), os.environ.get("PATH", ""))),
            "VIRTUAL_ENV": str(self._models.bin.parent),
            "TOKENIZERS_PARALLELISM": "false",
        }

    def prepare(self) -> None:
        """Makes folders and backends, removes shared memory of a killed predecessor."""
        for port in self._ports():
            refuse_taken(self.settings.host, port)
        self.repository.mkdir(parents=True, exist_ok=True)
        self._assemble_backends()
        self._clean_shared_memory()

    def control(self) -> TritonControl:
        return TritonControl(self.address, self.settings.admin_key)

    def healthy(self) -> bool:
        """Whether the server and the models that it was started with are ready."""
        control = self.control()
        try:
            return control.ready()
        finally:
            control.close()

    def _end(self, number: signal.Signals) -> None:
        super()._end(number)
        self._clean_shared_memory()

    def _arguments(self) -> Iterator[str]:
        settings = self.settings
        yield str(self._models.triton / "bin" / "tritonserver")
        yield f"--model-repository={self.repository}"
        yield f"--backend-directory={self._state / 'backends'}"
        yield f"--backend-config=python,shm-region-prefix-name={self.shared_memory_prefix}"
        yield "--model-control-mode=explicit"
        yield "--disable-auto-complete-config"
        yield "--exit-on-error=false"
        yield f"--exit-timeout-secs={settings.exit_timeout_s}"
        yield f"--grpc-address={settings.host}"
        yield f"--grpc-port={settings.grpc_port}"
        yield f"--metrics-address={settings.host}"
        yield f"--metrics-port={settings.metrics_port}"
        yield "--allow-gpu-metrics=false"
        yield from self._http_arguments()
        if settings.admin_key:
            yield f"--grpc-restricted-protocol={RESTRICTED}:{KEY_NAME}={settings.admin_key}"
        yield from (f"--load-model={name}" for name in settings.models)

    def _http_arguments(self) -> Iterator[str]:
        if self.settings.http_port is None:
            yield "--allow-http=false"
        else:
            yield f"--http-address={self.settings.host}"
            yield f"--http-port={self.settings.http_port}"

    def _ports(self) -> tuple[int, ...]:
        ports = (self.settings.grpc_port, self.settings.metrics_port, self.settings.http_port)
        return tuple(port for port in ports if port is not None)

    def _assemble_backends(self) -> None:
        target = self._state / "backends"
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(self._models.triton / "backends", target)
        shutil.copy2(self._models.stub, target / "python")

    def _clean_shared_memory(self) -> None:
        for region in SHARED_MEMORY.glob(f"{self.shared_memory_prefix}*"):
            region.unlink(missing_ok=True)


def _answers(call: Callable[[], wire.ServerReadyResponse | wire.ModelReadyResponse]) -> bool:
    try:
        return bool(call().ready)
    except grpc.RpcError:
        return False


def _wait(condition: Callable[[], bool], timeout: float) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        if time.monotonic() > deadline:
            raise ServerError(f"tritonserver was not ready within {timeout:.0f} s")
        time.sleep(POLL)
