"""Fixtures of the inference service's tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from inference_world import World


@pytest.fixture
async def world() -> World:
    return await World().begin()
