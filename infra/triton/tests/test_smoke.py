"""`make gpu-smoke` itself: it passes on a server that keeps the contract, and tells where not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from gyre_local.triton import TritonServer

from infra.triton.smoke.__main__ import main, told
from infra.triton.smoke.lines import (
    LINES,
    Bench,
    Line,
    a_full_queue_refuses_and_those_inside_are_served,
)
from infra.triton.smoke.server import docker_command
from infra.triton.smoke.wire import WireClient

pytestmark = pytest.mark.models
ROOT = Path(__file__).parents[3]


@pytest.fixture
def bench(tiny_server: TritonServer) -> Iterator[Bench]:
    client = WireClient(tiny_server.address, "gyre-tiny")
    yield Bench(client, "gyre-tiny", "legal", tiny_server.metrics_url, flood=12, too_long=600)
    client.channel.close()


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.__name__)
def test_both_engines_pass_every_line(
    bench: Bench, line: Line, capsys: pytest.CaptureFixture[str]
) -> None:
    assert told(bench, [line]) == 0
    assert "1 passed, 0 failed, 0 skipped" in capsys.readouterr().out


def test_a_line_that_does_not_hold_is_told_and_the_others_are_asked(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    few = Bench(bench.client, bench.model, flood=1)
    assert told(few, [a_full_queue_refuses_and_those_inside_are_served, LINES[2]]) == 1
    first, second, summary = capsys.readouterr().out.splitlines()
    assert first.startswith("FAIL  a full queue refuses")
    assert "--flood" in first
    assert second == "pass  an answer ends at its length"
    assert summary == "1 passed, 1 failed, 0 skipped"


def test_what_was_not_given_is_skipped_and_is_no_failure(
    bench: Bench, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = Bench(bench.client, bench.model)
    chosen = [line for line in LINES if "adapter_changes" in line.__name__]
    assert told(bare, chosen) == 0
    assert "--adapter NAME" in capsys.readouterr().out


def test_a_server_that_is_not_there_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--address", "127.0.0.1:1", "--wait", "0.5"]) == 1
    assert "does not answer" in capsys.readouterr().out


def test_without_its_engine_the_smoke_test_says_what_to_take(models: object) -> None:
    with pytest.raises(SystemExit, match=r"No module named 'tensorrt_llm'.*take engine torch"):
        main(["--engine", "trtllm"])


def test_the_container_of_the_smoke_test_is_started_as_compose_starts_it() -> None:
    command = " ".join(docker_command("gyre/triton-gpu:0.1.0", Path("/models")))
    compose = (ROOT / "docker-compose.yml").read_text()
    service = compose[compose.index("  triton-gpu:") : compose.index("  # -- bus and stores")]
    (scratch,) = re.findall(r'tmpfs: \["(.*?)"\]', service)
    assert f"--tmpfs={scratch}" in command
    assert re.findall(r"shm_size: 2gb", service)
    assert "--shm-size=2g" in command
    assert "--cap-drop=ALL" in command
    script = (ROOT / "infra/docker/triton-gpu.sh").read_text()
    assert "--grpc-port=8001" in script
    assert "--metrics-port=8002" in script
    assert set(re.findall(r"GYRE_LOCAL_\w+", command)) == set(re.findall(r"GYRE_LOCAL_\w+", script))
