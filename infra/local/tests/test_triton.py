"""The real server, with a two-line Python model, started and stopped by `TritonServer`."""

from __future__ import annotations

import os
import signal
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from gyre_local.server import ServerError
from gyre_local.triton import TritonControl, TritonServer, TritonSettings
from tritonclient.grpc import service_pb2 as wire
from tritonclient.grpc import service_pb2_grpc

from tests.platform.models import heal, processes

ENVIRONMENT = Path(__file__).parents[3] / ".venv-models"
CONFIG = """
backend: "python"
max_batch_size: 0
input [{ name: "text" data_type: TYPE_STRING dims: [1] }]
output [{ name: "text" data_type: TYPE_STRING dims: [1] }]
instance_group [{ kind: KIND_CPU count: 1 }]
"""
MODEL = """
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        return [pb_utils.InferenceResponse([pb_utils.Tensor(
            "text", pb_utils.get_input_tensor_by_name(request, "text").as_numpy())])
            for request in requests]
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")
    state = tmp_path_factory.mktemp("triton")
    running = TritonServer(TritonSettings(ENVIRONMENT, state, admin_key="secret"))
    folder = running.repository / "echo" / "1"
    folder.mkdir(parents=True)
    (folder / "model.py").write_text(MODEL)
    (folder.parent / "config.pbtxt").write_text(CONFIG)
    with running:
        yield running


@pytest.fixture
def control(server: TritonServer) -> Iterator[TritonControl]:
    control = server.control()
    yield control
    control.close()


def echo(server: TritonServer, text: bytes) -> bytes:
    request = wire.ModelInferRequest(model_name="echo")
    request.inputs.add(name="text", datatype="BYTES", shape=[1])
    request.raw_input_contents.append(len(text).to_bytes(4, "little") + text)
    with grpc.insecure_channel(server.address) as channel:
        reply = service_pb2_grpc.GRPCInferenceServiceStub(channel).ModelInfer(request, timeout=10)
    return bytes(reply.raw_output_contents[0][4:])


def test_a_model_answers_after_load_and_is_gone_after_unload(
    server: TritonServer, control: TritonControl
) -> None:
    control.load("echo")
    assert control.model_ready("echo")
    assert echo(server, "Grüße".encode()) == "Grüße".encode()
    control.unload("echo")
    assert not control.model_ready("echo")


def test_a_killed_process_of_a_model_is_cured_by_reload(
    server: TritonServer, control: TritonControl
) -> None:
    control.load("echo")
    (process,) = processes(server)
    os.kill(process, signal.SIGKILL)
    heal(server, "echo")
    assert echo(server, b"again") == b"again"


def test_the_repository_is_closed_to_those_without_the_key(server: TritonServer) -> None:
    stranger = TritonControl(server.address)
    with pytest.raises(grpc.RpcError) as refused:
        stranger.load("echo")
    assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
    assert "protocol" in refused.value.details()
    stranger.close()


def test_a_failed_load_says_why(control: TritonControl) -> None:
    with pytest.raises(grpc.RpcError, match="unknown-model"):
        control.load("unknown-model")


def test_metrics_are_served_and_http_is_off(server: TritonServer) -> None:
    with urllib.request.urlopen(server.metrics_url, timeout=5) as reply:
        assert b"nv_inference_request_success" in reply.read()
    assert "--allow-http=false" in server.command()


def test_a_stopped_server_leaves_no_shared_memory_and_can_start_again(tmp_path: Path) -> None:
    if not ENVIRONMENT.exists():
        pytest.skip("no model environment (.venv-models)")
    server = TritonServer(TritonSettings(ENVIRONMENT, tmp_path))
    for _ in range(2):
        server.start()
        assert server.control().ready()
        server.stop()
        assert not list(Path("/dev/shm").glob(f"{server.shared_memory_prefix}*"))


def test_a_missing_environment_is_named(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="no model environment"):
        TritonServer(TritonSettings(tmp_path / "none", tmp_path))


def test_a_taken_port_is_refused(server: TritonServer, tmp_path: Path) -> None:
    taken = TritonSettings(ENVIRONMENT, tmp_path, grpc_port=server.settings.grpc_port)
    with pytest.raises(ServerError, match="is taken"):
        TritonServer(taken).start()
