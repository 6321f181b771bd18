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


@pytest.mark.models
@pytest.mark.parametrize("suite", SUITES, ids=lambda path: path.stem)
def test_what_needs_torch_passes_in_the_model_environment(suite: Path) -> None:
    if importlib.util.find_spec("torch"):
        pytest.skip("this is the model environment: the tests run here as they are")
    if not PYTHON.exists():
        pytest.skip("no model environment (.venv-models): `make setup` makes it")
    options = ("-q", "-p", "no:cacheprovider", "--import-mode=importlib", "--rootdir", HERE.parent)
    run = subprocess.run(
        [PYTHON, "-m", "pytest", "-c", "/dev/null", *options, suite],
        check=False,
        capture_output=True,
        text=True,
        timeout=540,
    )
    assert run.returncode == 0, run.stdout[-20_000:] + run.stderr[-2_000:]
