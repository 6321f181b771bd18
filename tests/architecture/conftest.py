"""The compose file as Compose reads it, with the values of `.env.example`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).parents[2]
VARIABLE = re.compile(r"\$\{(?P<name>\w+)(?:(?P<mark>:-|:\?)(?P<rest>[^}]*))?\}")


@pytest.fixture(scope="session")
def repository() -> Path:
    return REPOSITORY


@pytest.fixture(scope="session")
def example() -> dict[str, str]:
    """`.env.example`, name by name."""
    lines = (REPOSITORY / ".env.example").read_text().splitlines()
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name: value for name, _, value in pairs}


@pytest.fixture(scope="session")
def compose_text() -> str:
    return (REPOSITORY / "docker-compose.yml").read_text()


@pytest.fixture(scope="session")
def compose(compose_text: str, example: dict[str, str]) -> dict[str, Any]:
    """Parsed, anchors and merges resolved, variables replaced inside every text."""
    found: dict[str, Any] = _filled(yaml.safe_load(compose_text), example)
    return found


def _filled(value: Any, variables: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: _filled(one, variables) for key, one in value.items()}
    if isinstance(value, list):
        return [_filled(one, variables) for one in value]
    if not isinstance(value, str):
        return value
    return VARIABLE.sub(lambda match: _value(match, variables), value)


def _value(match: re.Match[str], variables: dict[str, str]) -> str:
    given = variables.get(match["name"], "")
    return given or (match["rest"] if match["mark"] == ":-" else "")
