"""A caller that misuses the assistant is refused for a time, and told so."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from gyre_inference.domain.faults import Overloaded
from gyre_inference.domain.record import Caller


@dataclass(frozen=True, slots=True)
class Throttle:
    """What an alert set in force. end_user: only this one of the principal; empty means all of it.
    reason: what the alert is about, for the caller."""

    alert_id: str
    tenant: str
    principal: str
    end_user: str
    until: datetime
    reason: str

    def concerns(self, caller: Caller, end_user: str) -> bool:
        mine = (self.tenant, self.principal) == (caller.tenant, caller.principal)
        return mine and self.end_user in ("", end_user)


class Throttled(Overloaded):
    """Refused before any work was done: the caller is held until a time."""

    def __init__(self, throttle: Throttle, now: datetime) -> None:
        who = "this end user is" if throttle.end_user else "this caller is"
        super().__init__(
            f"{who} held until {throttle.until:%Y-%m-%d %H:%M:%S} UTC "
            f"because of {throttle.reason}; an operator can end it: "
            f"gyre alerts acknowledge {throttle.alert_id}",
            retry_after=math.ceil((throttle.until - now).total_seconds()),
        )
