"""Runs the engines' own suite with the model environment's python, where torch lives."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
PATIENCE = 1800  # seconds
PYTHON = FOLDER.parents[1] / ".venv-models" / "bin" / "python"


@pytest.mark.models
def test_the_engines_pass_their_own_suite() -> None:
    if not PYTHON.exists():
        pytest.skip("no model environment (.venv-models)")
    command = [PYTHON, "-m", "pytest", "-c", "tests/engine/pytest.ini", "tests/engine"]
    suite = subprocess.run(
        command, check=False, cwd=FOLDER, capture_output=True, text=True, timeout=PATIENCE
    )
    assert suite.returncode == 0, suite.stdout[-20_000:] + suite.stderr[-2_000:]
