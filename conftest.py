"""How the tests are shared out where several processes run them (`pytest -n 2`).

A file stays whole, and two processes have nothing in common: neither a port nor a platform.
"""

from __future__ import annotations

import os
from typing import Any

import pytest

# One platform or server is started for all files of such folders, so they stay together; they
# begin first, in this order, because they take the longest.
TOGETHER = {
    "tests/chaos": "the running platform",
    "tests/e2e": "the running platform",
    "infra/triton": "the model server",
}


def pytest_configure(config: pytest.Config) -> None:
    if hasattr(config, "workerinput"):
        from gyre_local import ports

        os.environ.pop("COLUMNS", None)  # xdist's; a console made at import keeps it
        worker = int(config.workerinput["workerid"].removeprefix("gw"))
        workers = int(config.workerinput["workercount"])
        ports.divide(worker % workers, workers)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        places = list(dict.fromkeys(TOGETHER.values()))
        items.sort(key=lambda item: _place(_unit(item.nodeid), places))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return _unit(nodeid)

    config.option.loadscopereorder = False  # as they were collected
    return Scheduling(config, log)


def _unit(nodeid: str) -> str:
    """What one process runs without a break: a file, or all files of some folders."""
    file = nodeid.split("::", 1)[0]
    found = (name for folder, name in TOGETHER.items() if file.startswith(f"{folder}/"))
    return next(found, file)


def _place(unit: str, places: list[str]) -> int:
    return places.index(unit) if unit in places else len(places)
