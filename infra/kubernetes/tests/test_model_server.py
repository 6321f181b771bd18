"""The Deployment agrees with docker-compose.yml, the container's script and the settings."""

from __future__ import annotations

import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml
from gyre_local import ports
from gyre_local.settings import LocalSettings

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "infra" / "docker" / "triton-gpu.sh"
Kind = dict[str, Any]


@pytest.fixture(scope="module")
def manifest() -> dict[str, Kind]:
    documents = yaml.safe_load_all((ROOT / "infra/kubernetes/model-server.yaml").read_text())
    return {one["kind"]: one for one in documents}


@pytest.fixture
def pod(manifest: dict[str, Kind]) -> Kind:
    spec: Kind = manifest["Deployment"]["spec"]["template"]["spec"]
    return spec


@pytest.fixture
def server(pod: Kind) -> Kind:
    (container,) = pod["containers"]
    return dict(container)


@pytest.fixture
def compose() -> Kind:
    services: Kind = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


def test_ports_are_where_the_server_listens_and_the_service_sends(
    manifest: dict[str, Kind], server: Kind
) -> None:
    script = SCRIPT.read_text()
    listened = {
        name: int(re.findall(rf"--{name}-port=(\d+)", script)[0]) for name in ("grpc", "metrics")
    }
    assert {one["name"]: one["containerPort"] for one in server["ports"]} == listened
    assert listened == {
        "grpc": ports.DEFAULTS["triton"],
        "metrics": ports.DEFAULTS["triton_metrics"],
    }
    served = manifest["Service"]["spec"]["ports"]
    assert {one["name"]: one["port"] for one in served} == listened
    assert all(one["targetPort"] == one["name"] for one in served)
    allowed = [one["ports"][0]["port"] for one in manifest["NetworkPolicy"]["spec"]["ingress"]]
    assert sorted(allowed) == sorted(listened.values())


def test_labels_select_the_pods_they_mean(manifest: dict[str, Kind]) -> None:
    template = manifest["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
    assert manifest["Deployment"]["spec"]["selector"]["matchLabels"].items() <= template
    assert manifest["Service"]["spec"]["selector"].items() <= template
    assert manifest["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items() <= template


def test_images_are_those_of_compose(pod: Kind, server: Kind, compose: Kind) -> None:
    assert server["image"] == compose["triton-gpu"]["image"]
    (prepare,) = pod["initContainers"]
    assert prepare["image"] == compose["models"]["image"]
    assert prepare["args"] == compose["models"]["command"]


def test_every_variable_is_known_to_who_reads_it(pod: Kind, server: Kind) -> None:
    (prepare,) = pod["initContainers"]
    given = {one["name"]: one["value"] for one in prepare["env"]}
    known = {f"GYRE_LOCAL_{field.upper()}" for field in LocalSettings.model_fields}
    assert given.keys() <= known
    read = set(re.findall(r"GYRE_\w+", SCRIPT.read_text())) | {"GYRE_OTLP_ENDPOINT"}
    assert {one["name"] for one in server["env"]} <= read
    named = {one["name"]: one.get("value") for one in server["env"]}
    for name in named.keys() & given.keys():
        assert named[name] == given[name], name


def test_the_engines_settings_are_accepted(
    pod: Kind, server: Kind, monkeypatch: pytest.MonkeyPatch
) -> None:
    for one in pod["initContainers"][0]["env"]:
        monkeypatch.setenv(one["name"], one["value"])
    settings = LocalSettings()
    assert settings.model_engine == "trtllm"
    asked = settings.model_settings["llm"]
    assert str(asked["tensor_parallel_size"]) == server["resources"]["limits"]["nvidia.com/gpu"]


def test_probes_ask_what_the_script_answers(server: Kind) -> None:
    modes = set(re.findall(r"^  (\w+)\)", SCRIPT.read_text(), re.MULTILINE))
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        program, mode = server[name]["exec"]["command"]
        assert program == "gyre-triton"
        assert mode in modes
    dockerfile = (ROOT / "infra/docker/triton-gpu.Dockerfile").read_text()
    assert "infra/docker/triton-gpu.sh /usr/local/bin/gyre-triton" in dockerfile
    start = server["startupProbe"]
    assert start["periodSeconds"] * start["failureThreshold"] >= 1200


def test_a_pod_has_time_to_end_and_memory_to_share(pod: Kind, server: Kind, compose: Kind) -> None:
    (grace,) = re.findall(r"--exit-timeout-secs=(\d+)", SCRIPT.read_text())
    assert pod["terminationGracePeriodSeconds"] > int(grace)
    volumes = {one["name"]: one for one in pod["volumes"]}
    shared = {one["mountPath"]: one["name"] for one in server["volumeMounts"]}["/dev/shm"]
    assert volumes[shared]["emptyDir"] == {"medium": "Memory", "sizeLimit": "2Gi"}
    assert compose["triton-gpu"]["shm_size"] == "2gb"
    mounted = {m["name"] for c in (*pod["initContainers"], server) for m in c["volumeMounts"]}
    assert mounted == volumes.keys()


def test_containers_have_no_more_rights_than_in_compose(
    pod: Kind, server: Kind, compose: Kind
) -> None:
    user = int(compose["triton-gpu"]["user"].split(":")[0])
    assert pod["securityContext"]["runAsUser"] == user
    assert pod["securityContext"]["runAsNonRoot"] is True
    for container in (*pod["initContainers"], server):
        context = container["securityContext"]
        assert context["readOnlyRootFilesystem"] is compose["triton-gpu"]["read_only"]
        assert context["capabilities"]["drop"] == compose["triton-gpu"]["cap_drop"]
        assert context["allowPrivilegeEscalation"] is False


@pytest.mark.parametrize(
    ("up", "age", "alive"), [(1, 1, True), (0, 1, False), (1, 600, False), (None, 1, False)]
)
def test_a_dead_or_hanging_engine_is_not_alive(up: int | None, age: int, alive: bool) -> None:
    labels = '{model="llm-1"}'
    lines = [f"gyre_llm_heartbeat_seconds{labels} {time.time() - age:.6f}"]
    lines += [f'gyre_llm_engine_up{{model="other"}} {1 if up == 0 else 0}']
    lines += [] if up is None else [f"gyre_llm_engine_up{labels} {up}"]
    with page("\n".join(lines) + "\n") as port:
        variables = {
            "PATH": "/usr/bin:/bin",
            "GYRE_LOCAL_MODEL_NAME": "llm-1",
            "GYRE_TRITON_METRICS_PORT": str(port),
        }
        asked = subprocess.run(["bash", SCRIPT, "alive"], check=False, env=variables, timeout=20)
    assert (asked.returncode == 0) is alive


def test_the_settings_of_the_manifest_are_json(pod: Kind) -> None:
    (text,) = [
        one["value"]
        for one in pod["initContainers"][0]["env"]
        if one["name"] == "GYRE_LOCAL_MODEL_SETTINGS"
    ]
    assert json.loads(text).keys() == {"llm"}


@contextmanager
def page(text: str) -> Iterator[int]:
    """A metrics page on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, format: str, *args: object) -> None:
            """Nothing: the test says what went wrong."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_port
    server.shutdown()
    server.server_close()
