"""The import rules of `.importlinter`, and that its lists are complete."""

from __future__ import annotations

import configparser
import subprocess
import sys
from pathlib import Path

import pytest

LISTS = {
    "importlinter": "root_packages",
    "importlinter:contract:shape": "containers",
    "importlinter:contract:strangers": "modules",
    "importlinter:contract:torch": "source_modules",
}


@pytest.fixture(scope="module")
def rules(repository: Path) -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(repository / ".importlinter")
    return parser


def test_every_import_rule_holds(repository: Path) -> None:
    program = Path(sys.executable).parent / "lint-imports"
    done = subprocess.run(
        [program, "--no-cache"], cwd=repository, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(("section", "option"), LISTS.items())
def test_every_service_is_under_the_rules(
    repository: Path, rules: configparser.ConfigParser, section: str, option: str
) -> None:
    assert _services(repository) <= set(rules[section][option].split())


def test_the_middle_of_every_service_is_under_the_rules(
    repository: Path, rules: configparser.ConfigParser
) -> None:
    middle = set(rules["importlinter:contract:middle"]["source_modules"].split())
    for package in _services(repository):
        assert {f"{package}.{part}" for part in ("domain", "ports", "use_cases")} <= middle


def test_a_service_has_the_files_of_the_house(repository: Path) -> None:
    for package in _services(repository):
        folder = repository / "services" / package.removeprefix("gyre_")
        for name in ("__main__.py", "settings.py", "app.py", "rpc.py", "ports.py", "py.typed"):
            assert (folder / package / name).is_file(), f"{package}/{name}"
        assert (folder / package / "adapters" / "memory.py").is_file(), package
        assert len((folder / "README.md").read_text()) > 300, f"{folder.name}/README.md"
        assert (folder / "tests").is_dir()


def _services(repository: Path) -> set[str]:
    """Packages of what runs as a service; `retraining` holds only recipes as yet."""
    mains = (repository / "services").glob("*/gyre_*/app.py")
    return {path.parent.name for path in mains}
