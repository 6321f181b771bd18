"""Erasures as messages."""

from __future__ import annotations

from datetime import datetime

from google.protobuf.timestamp_pb2 import Timestamp
from gyre.inference.v1 import service_pb2

from gyre_inference.domain.erasures import Erasure, Forgotten


def erasure(known: Erasure) -> service_pb2.Erasure:
    """Whom it is about is not told."""
    return service_pb2.Erasure(
        erasure_id=known.erasure_id,
        principal=known.principal,
        reason=known.reason,
        request_time=stamp(known.request_time),
        services=map(_forgotten, known.services),
        complete_time=stamp(known.complete_time) if known.complete_time else None,
    )


def stamp(moment: datetime) -> Timestamp:
    """A time with its zone."""
    made = Timestamp()
    made.FromDatetime(moment)
    return made


def _forgotten(one: Forgotten) -> service_pb2.ErasedByService:
    return service_pb2.ErasedByService(
        service=one.service,
        erased=dict(one.erased),
        forget_time=stamp(one.time) if one.time else None,
    )
