"""One platform for all tests of this folder: they hurt it in turn, and it heals."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from nats.js import JetStreamContext

from tests.platform.running import RunningPlatform


@pytest.fixture
def platform(running_platform: RunningPlatform) -> RunningPlatform:
    """Everything is up when a test begins."""
    running_platform.wait_healthy()
    return running_platform


@pytest.fixture
async def jetstream(platform: RunningPlatform) -> AsyncIterator[JetStreamContext]:
    async with platform.bus() as jetstream:
        yield jetstream


@pytest.fixture
async def letters_before(jetstream: JetStreamContext) -> int:
    """Sequence of the newest dead letter when the test began."""
    return (await jetstream.stream_info("DEADLETTERS")).state.last_seq
