"""Bodies: protobuf between services, protobuf's JSON form from anyone else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message

from gyre_runtime.events.envelope import CONTENT_TYPE, JSON, PROTOBUF, BadEnvelope

EventT = TypeVar("EventT", bound=Message)
BODY_LIMIT = 512 * 1024
_DEPTH = 50


def read_body(event: type[EventT], headers: Mapping[str, str], body: bytes) -> EventT:
    """Raises `BadEnvelope` with the reason `oversize`, `bad_content_type` or `bad_body`."""
    if len(body) > BODY_LIMIT:
        raise BadEnvelope("oversize", f"{len(body)} bytes, over {BODY_LIMIT}: send a reference")
    kind = _content_type(headers)
    if kind not in (PROTOBUF, JSON):
        raise BadEnvelope("bad_content_type", f"set Content-Type to {PROTOBUF} or {JSON}")
    try:
        return _protobuf(event, body) if kind == PROTOBUF else _json(event, body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise BadEnvelope("bad_body", f"no {event.DESCRIPTOR.full_name}: {error!s:.300}") from error


def _content_type(headers: Mapping[str, str]) -> str:
    found = next(
        (value for name, value in headers.items() if name.lower() == CONTENT_TYPE.lower()), ""
    )
    return found.partition(";")[0].strip().lower()


def _protobuf(event: type[EventT], body: bytes) -> EventT:
    return event.FromString(body)


def _json(event: type[EventT], body: bytes) -> EventT:
    parsed = event()
    json_format.Parse(
        body.decode("utf-8"), parsed, ignore_unknown_fields=True, max_recursion_depth=_DEPTH
    )
    return parsed
