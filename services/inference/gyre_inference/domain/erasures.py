"""People who want to be forgotten: what was asked for, and which service has done it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from gyre_inference.domain.faults import InvalidRequest

INFERENCE = "inference"
SERVICES = (INFERENCE, "feedback", "evaluation", "retraining")
"""Those that keep something of a person."""
_WORD, _REASON = 128, 1024


@dataclass(frozen=True)
class Forgotten:
    """erased: how many things, by kind. time: None before it is done."""

    service: str
    erased: Mapping[str, int] = field(default_factory=dict)
    time: datetime | None = None


@dataclass(frozen=True)
class Erasure:
    """Whom it is about is not in it."""

    erasure_id: str
    tenant: str
    principal: str
    reason: str
    request_time: datetime
    services: tuple[Forgotten, ...] = tuple(Forgotten(name) for name in SERVICES)
    complete_time: datetime | None = None


@dataclass(frozen=True)
class ErasureRequest:
    """creation_key: a repetition with it finds the erasure; empty makes a new one."""

    end_user: str
    reason: str
    creation_key: str = ""


def check_erasure_request(request: ErasureRequest) -> None:
    """Raises `InvalidRequest` with every rule that is broken."""
    broken = {}
    if not (1 <= len(request.end_user) <= _WORD and request.end_user.isprintable()):
        broken["end_user"] = f"must be 1 to {_WORD} printable characters"
    if not 1 <= len(request.reason.strip()) <= _REASON:
        broken["reason"] = f"must be 1 to {_REASON} characters"
    if len(request.creation_key) > _WORD or not request.creation_key.isprintable():
        broken["creation_key"] = f"must be at most {_WORD} printable characters"
    if broken:
        raise InvalidRequest(broken)
