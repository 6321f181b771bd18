"""Service and model environment together: thumbs heard on the bus become a trained model."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

sys.path.append(str(Path(__file__).parent))

PYTHON = Path(__file__).parents[3] / ".venv-models" / "bin" / "python"
RECIPE: dict[str, Any] = {
    "name": "thumbs",
    "description": "A few steps on a random model.",
    "kind": "language",
    "method": "kto",
    "form": "thumbs",
    "base_model": "tiny",
    "training": {"max_steps": 3, "batch_size": 2, "max_length": 128},
    "data": {"minimum_rows": 10},
    "limits": {"memory_mb": 4096, "minutes": 20, "threads": 1},
}


@pytest.mark.models
async def test_thumbs_become_a_trained_model(tmp_path: Path) -> None:
    if not PYTHON.exists():
        pytest.skip("no model environment (.venv-models): `make setup` makes it")
    from gyre.retraining.v1 import training_pb2 as pb
    from gyre_retraining.adapters.jobs_local import LocalJobs
    from service_world import running

    model = tmp_path / "tiny"
    making = await asyncio.create_subprocess_exec(PYTHON, "-m", "gyre_models", "tiny", model)
    assert await making.wait() == 0
    (tmp_path / "recipes").mkdir()
    (tmp_path / "recipes" / "thumbs.yaml").write_text(yaml.safe_dump(RECIPE))
    jobs = LocalJobs(tmp_path / "jobs", PYTHON)
    imports = {"tiny": {"kind": "language", "folder": model}}
    async with running(tmp_path, jobs=jobs, model_imports=imports) as world:
        await world.judged(24)
        done = await world.watched((await world.start(recipe="thumbs")).training_id)
        told = (tmp_path / "jobs" / done.training_id / "job.log").read_text()[-2000:]
        assert done.state == pb.TRAINING_STATE_SUCCEEDED, (done.reason, done.detail, told)
        assert (done.step, done.steps, done.attempts) == (3, 3, 1)
        assert done.peak_memory_bytes > 100 << 20
        assert done.model == "tiny/2"
