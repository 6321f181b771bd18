"""Times are moments, wherever the client's machine is."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from gyre.inference.v1 import prompt_pb2
from gyre_client.versions import LabelMove

MOMENT = datetime(2026, 11, 27, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["UTC", "Asia/Tokyo", "America/Lima"])
def zone(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("zone")
def test_a_moment_is_the_same_one_in_every_zone() -> None:
    moved = Timestamp()
    moved.FromDatetime(MOMENT)
    assert LabelMove.read(prompt_pb2.LabelMove(move_time=moved)).move_time == MOMENT
