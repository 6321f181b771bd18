"""Runs the tests that need torch with the model environment's python, where torch lives."""

from __future__ import annotations

import importlib.util
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__)
REPOSITORY = HERE.parents[3]
PYTHON = REPOSITORY / ".venv-models" / "bin" / "python"


@pytest.mark.models
def test_the_recipe_and_its_checkpoint_pass_their_tests() -> None:
    if importlib.util.find_spec("torch"):
        pytest.skip("this is the model environment: the tests run here as they are")
    if not PYTHON.exists():
        pytest.skip("no model environment (.venv-models): `make setup` makes it")
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", HERE.parent)
    suite = subprocess.run(
        [PYTHON, "-m", "pytest", "-c", "/dev/null", *options, HERE.parent],
        check=False,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert suite.returncode == 0, suite.stdout[-20_000:] + suite.stderr[-2_000:]
