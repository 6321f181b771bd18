"""Runs of chains: what they were given, what each step did, how they ended."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from gyre_inference.domain.faults import InvalidRequest
from gyre_inference.domain.generation import Usage
from gyre_inference.domain.record import Labels
from gyre_inference.domain.registry import NAME
from gyre_inference.domain.requests import reference_violations

_WANTED = re.compile(r"[a-z0-9_-]{0,32}")
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


class RunState(Enum):
    """OPEN: it runs, or was interrupted and may go on. FAILED: a repeat would not mend it."""

    OPEN = "OPEN"
    DONE = "DONE"
    FAILED = "FAILED"


@dataclass(frozen=True)
class StepRecord:
    """What one step did. input, output: plain data. seconds: how long it took.

    step_id: its name, with the places of what it stands in: `each[2].answer`.
    resumed: taken from an earlier, interrupted run of the same id.
    """

    step_id: str
    parent_step_id: str
    kind: str
    name: str
    start: datetime
    seconds: float
    status: str = "ok"
    input: Any = None
    output: Any = None
    usage: Usage = field(default_factory=Usage)
    resumed: bool = False


@dataclass(frozen=True)
class RunHeader:
    """What a run was begun with; it goes on with the same version and inputs."""

    chain_run_id: str
    chain: str
    version: str
    answer_id: str
    inputs: Mapping[str, Any]
    labels: Labels
    start: datetime
    experiment: str = ""
    variant: str = ""
    variant_share: float = 0.0


@dataclass(frozen=True)
class RunEnding:
    """output: plain data. status: `ok`, or a canonical status."""

    state: RunState
    output: Any = None
    status: str = "ok"
    detail: str = ""
    finish_reason: str = "STOP"


@dataclass(frozen=True)
class ChainRun:
    """All that is known of a run; steps in the order they ended."""

    header: RunHeader
    steps: tuple[StepRecord, ...] = ()
    ending: RunEnding | None = None


@dataclass(frozen=True)
class ChainRequest:
    """A run that is asked for. version: or a label; empty means the one in force.

    chain_run_id: empty makes a new one. tokens, seconds: less than the chain's own budget.
    """

    chain: str
    version: str = ""
    inputs: Mapping[str, Any] = field(default_factory=dict)
    chain_run_id: str = ""
    labels: Labels = field(default_factory=Labels)
    tokens: int = 0
    seconds: float | None = None


def check_chain_request(request: ChainRequest) -> None:
    """Raises `InvalidRequest` with every rule that is broken."""
    broken = dict(reference_violations(request.labels))
    if not NAME.fullmatch(request.chain):
        broken["chain"] = "must match [a-z0-9._-]{1,64}"
    if not _WANTED.fullmatch(request.version):
        broken["version"] = "must be a version or a label"
    if request.chain_run_id and not _UUID.fullmatch(request.chain_run_id):
        broken["chain_run_id"] = "must be a UUID in small letters"
    if request.tokens < 0:
        broken["token_budget"] = "must be at least 0"
    if request.seconds is not None and not request.seconds > 0:
        broken["time_budget"] = "must be above 0"
    if broken:
        raise InvalidRequest(broken)
