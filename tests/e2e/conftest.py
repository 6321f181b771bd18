"""The platform as a user meets it, with the demo knowledge base in it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from gyre_client import Document, Gyre
from gyre_demo.questions import KNOWLEDGE_BASE
from gyre_local.settings import REPOSITORY

from tests.platform.documents import ingest
from tests.platform.running import RunningPlatform

Command = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def platform(running_platform: RunningPlatform) -> RunningPlatform:
    """Everything is up when the folder's first test begins."""
    running_platform.wait_healthy()
    return running_platform


@pytest.fixture
async def gyre(platform: RunningPlatform) -> AsyncIterator[Gyre]:
    """A client of the tenant acme."""
    async with platform.client("acme") as client:
        yield client


@pytest.fixture(scope="session")
def demo(platform: RunningPlatform) -> dict[str, Document]:
    """The demo knowledge base in the default collection of acme: article -> document, settled."""
    files = [path for path in sorted(KNOWLEDGE_BASE.rglob("*")) if path.is_file()]
    contents = {path.relative_to(KNOWLEDGE_BASE).as_posix(): path.read_bytes() for path in files}

    async def run() -> list[Document]:
        async with platform.client("acme") as client:
            return await ingest(client, contents, "default")

    return {one.source_uri: one for one in asyncio.run(run())}


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real data beside the checkout."""
    folder = REPOSITORY.parent / "shared" / "data" / "dev"
    if not folder.is_dir():
        pytest.skip(f"the real data is not at hand: {folder.name} beside the checkout is missing")
    return folder


@pytest.fixture
def environment(platform: RunningPlatform, tmp_path: Path) -> dict[str, str]:
    """What a person has who uses the command line against the running platform."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GYRE_")}
    own = {"GYRE_API_KEY": "key-of-acme", "HOME": str(tmp_path), "COLUMNS": "200"}
    return kept | platform.environment | own


@pytest.fixture
def command(environment: dict[str, str], tmp_path: Path) -> Command:
    """Runs `gyre ...` in an empty folder."""

    def run(*arguments: str, typed: str = "", **changed: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(Path(sys.executable).parent / "gyre"), *arguments],
            cwd=tmp_path,
            env=environment | changed,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    return run
