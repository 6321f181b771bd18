"""Every service works in an environment of its own: a shared one hides what is not declared."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).parents[2]
UV = Path(sys.executable).with_name("uv")
PROJECTS = {
    tomllib.loads(path.read_text())["project"]["name"]: path.parent
    for path in REPOSITORY.glob("*/*/pyproject.toml")
}
ALONE = {
    "infra/edge": "gyre_edge.app",
    "libs/client": "gyre_client.cli",
    "services/embedding": "gyre_embedding.app",
    "services/evaluation": "gyre_evaluation.app",
    "services/feedback": "gyre_feedback.app",
    "services/inference": "gyre_inference.app",
    "services/ingestion": "gyre_ingestion.app",
    "services/retraining": "gyre_retraining.app",
    "services/retrieval": "gyre_retrieval.app",
}


@pytest.mark.skipif(not UV.exists(), reason="`make setup` puts uv into the environment")
@pytest.mark.parametrize("folder", ALONE)
def test_a_distribution_works_with_what_it_declares_alone(folder: str, tmp_path: Path) -> None:
    python = tmp_path / "bin" / "python"
    assert _ended_well(UV, "venv", "--quiet", "--python", sys.executable, tmp_path)
    pins = ("--constraints", "constraints.txt", "--build-constraints", "constraints.txt")
    wanted = [f"{one.relative_to(REPOSITORY)}{_extras(one)}" for one in _needed(folder)]
    assert _ended_well(UV, "pip", "install", "--quiet", *pins, "--python", python, *wanted)
    assert _ended_well(python, "-c", f"import {ALONE[folder]}")


def _needed(folder: str) -> list[Path]:
    """The distribution, and those of this repository that it declares, at any depth."""
    found, waiting = [], [REPOSITORY / folder]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.append(one)
            waiting += [PROJECTS[name] for name in _gyre(one)]
    return found


def _gyre(folder: Path) -> list[str]:
    project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
    extras = project.get("optional-dependencies", {}).values()
    names = map(_name, chain(project["dependencies"], *extras))
    return [name for name in names if name in PROJECTS]


def _name(requirement: str) -> str:
    return re.split(r"[\[ ;]", requirement)[0]


def _extras(folder: Path) -> str:
    return {"client": "[cli]", "retraining": "[service]"}.get(folder.name, "")


def _ended_well(*command: str | Path) -> bool:
    """What it wrote stands in pytest's report."""
    return subprocess.run(command, cwd=REPOSITORY, check=False).returncode == 0
