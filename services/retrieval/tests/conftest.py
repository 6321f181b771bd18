"""A real Milvus for the tests of this service, one for all of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[3] / "infra" / "local")]

from gyre_local.milvus import MilvusServer, MilvusSettings


@pytest.fixture(scope="session")
def milvus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    with MilvusServer(MilvusSettings(tmp_path_factory.mktemp("milvus") / "data")) as server:
        yield server
