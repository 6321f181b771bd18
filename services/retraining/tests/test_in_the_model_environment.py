"""Runs the tests that need torch with the model environment's python, where torch lives."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__)
REPOSITORY = HERE.parents[3]
PYTHON = REPOSITORY / ".venv-models" / "bin" / "python"
SKIPPED_HERE = re.compile(r'importorskip\(\s*"(torch|optuna)"')
SUITES = [
    path for path in sorted(HERE.parent.glob("test_*.py")) if SKIPPED_HERE.search(path.read_text())
]
PATIENCE = 3600  # seconds


@pytest.mark.models
def test_what_needs_torch_passes_in_the_model_environment() -> None:
    """All files in one process: each alone would import torch and transformers again."""
    if importlib.util.find_spec("torch"):
        pytest.skip("this is the model environment: the tests run here as they are")
    if not PYTHON.exists():
        pytest.skip("no model environment (.venv-models): `make setup` makes it")
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", HERE.parent)
    run = subprocess.run(
        [PYTHON, "-m", "pytest", "-c", "/dev/null", *options, *SUITES],
        check=False,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
