"""A call's status as an exception that says what to do."""

from __future__ import annotations

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata
from gyre_client import UnavailableError
from gyre_client.errors import STATUS_LOST, raising


def test_a_stream_whose_status_was_lost_may_be_repeated():
    lost = AioRpcError(grpc.StatusCode.INTERNAL, Metadata(), Metadata(), STATUS_LOST)
    with pytest.raises(UnavailableError) as told, raising("127.0.0.1:50051"):
        raise lost
    assert told.value.status == "UNAVAILABLE"
