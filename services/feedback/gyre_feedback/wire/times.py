"""Moments as messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp


def stamp(moment: datetime | float | None) -> Timestamp | None:
    if moment is None:
        return None
    message = Timestamp()
    if isinstance(moment, datetime):
        message.FromDatetime(moment)
    else:
        message.FromNanoseconds(int(moment * 1e9))
    return message
