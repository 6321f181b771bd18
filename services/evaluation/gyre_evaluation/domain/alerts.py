"""Something needs attention: said once for its cause, then quiet for a time."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

_NAMESPACE = uuid.UUID("6f0c8a4e-1f0b-5b7e-9a51-0f5c6a1d9b53")
MOST_EXAMPLES = 20


class AlertKind(StrEnum):
    """What an alert is about."""

    INJECTION = "injection"
    EXTRACTION = "extraction"
    VOLUME = "volume"
    DISPARITY = "disparity"
    DRIFT = "drift"
    QUALITY = "quality"


class Severity(StrEnum):
    """How soon somebody should look: when there is time, today, now."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """detail: one or two sentences for people, never content. until: when measures against the
    principal, or only this end user of it, end; None where there are none."""

    tenant: str
    kind: AlertKind
    severity: Severity
    raise_time: datetime
    detail: str
    principal: str = ""
    end_user: str = ""
    until: datetime | None = None
    metric: str = ""
    slice: str = ""
    answer_ids: tuple[str, ...] = ()

    @property
    def cause(self) -> str:
        """The same trouble has the same cause."""
        parts = (self.kind, self.principal, self.end_user, self.metric, self.slice)
        return str(uuid.uuid5(_NAMESPACE, "\0".join((self.tenant, *parts))))

    @property
    def alert_id(self) -> str:
        """Derived, so the same finding is the same alert."""
        return str(uuid.uuid5(_NAMESPACE, f"{self.cause}\0{self.raise_time.isoformat()}"))


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """Who has seen to an alert."""

    principal: str
    time: datetime
    comment: str = ""


@dataclass(frozen=True, slots=True)
class KnownAlert:
    """repeats: how often its cause came again while it was quiet."""

    alert: Alert
    repeats: int = 0
    acknowledged: Acknowledgement | None = None


def is_quiet(last: datetime | None, time: datetime, cool_down: timedelta) -> bool:
    """Whether a cause that was last raised at `last` is said no more at `time`. Events come out of
    order: what happened before the last alert belongs to it."""
    return last is not None and time < last + cool_down
