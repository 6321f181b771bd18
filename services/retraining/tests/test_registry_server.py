"""The registry on an MLflow server, which keeps the files too."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from gyre_local.ports import free_port
from gyre_retraining.adapters.mlflow_registry import MlflowModelRegistry
from gyre_retraining.adapters.worker.jobs import new_worker
from gyre_retraining.domain.models import ModelKind, ModelRecord, StoredModel, signature_of

START_SECONDS = 600


def answers(uri: str) -> bool:
    try:
        with urllib.request.urlopen(f"{uri}/health", timeout=2) as reply:
            return bool(reply.status == 200)
    except (urllib.error.URLError, OSError):
        return False


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[str]:
    """Its address; PostgreSQL and S3 in place of these two are settings of the server alone."""
    port = free_port()
    words = ["--backend-store-uri", f"sqlite:///{tmp_path / 'server.db'}"]
    words += ["--artifacts-destination", str(tmp_path / "bucket"), "--workers", "1"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)),
        *words,
        env={
            **os.environ,
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        },
        cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
    )
    uri = f"http://127.0.0.1:{port}"
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await asyncio.to_thread(answers, uri):
                assert process.returncode is None
                await asyncio.sleep(0.3)
        yield uri
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        await process.wait()


def record(folder: Path, training_id: str) -> ModelRecord:
    return ModelRecord(
        tenant="acme",
        name="reader",
        kind=ModelKind.LANGUAGE,
        stored=StoredModel(str(folder), (), "c" * 64),
        register_time=datetime(2026, 3, 1, tzinfo=UTC),
        signature=signature_of(ModelKind.LANGUAGE, 0),
        training_id=training_id,
    )


async def test_a_server_is_sent_the_files_and_gives_them_to_another_machine(
    server: str, tmp_path: Path
) -> None:
    kept = tmp_path / "kept"
    (kept / "1_Pooling").mkdir(parents=True)
    (kept / "1_Pooling" / "config.json").write_text("{}")
    (kept / "model.safetensors").write_bytes(bytes(range(256)))
    async with new_worker(memory=3_000_000_000, seconds=600) as worker:
        registry = MlflowModelRegistry(worker, server)
        first = await registry.register(record(kept, "t-1"))
        assert await registry.register(record(kept, "t-1")) == first
        second = await registry.register(record(kept, ""))
        assert [one.version for one in await registry.versions("acme")] == [2, 1]
        pointed = await registry.set_alias("acme", "reader", "champion", 2)
        assert await registry.get("acme", "reader", "champion") == pointed
        assert len(list((tmp_path / "bucket").rglob("model.safetensors"))) == 2
        (kept / "model.safetensors").unlink()
        for number, version in enumerate((first, second)):
            here = tmp_path / f"here-{number}"
            here.mkdir()
            await registry.fetch(version, here)
            assert (here / "model.safetensors").read_bytes() == bytes(range(256))
            assert (here / "1_Pooling" / "config.json").read_text() == "{}"
