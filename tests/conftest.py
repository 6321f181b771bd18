"""What several folders of tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gyre_local.settings import LocalSettings

from tests.platform.running import RunningPlatform


@pytest.fixture(scope="session")
def running_platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningPlatform]:
    """The whole platform, started once for all folders; a test leaves every program running."""
    if not (LocalSettings().models_environment / "bin" / "python").exists():
        pytest.skip("needs the model server's environment: `make setup`")
    platform = RunningPlatform(tmp_path_factory.mktemp("platform") / "state")
    try:
        platform.start()
        yield platform
    finally:
        platform.stop()
