"""When attempts and requests of somebody are too many."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from gyre_evaluation.domain.abuse.scoring import Aim, Attempt
from gyre_evaluation.domain.alerts import Alert, AlertKind, Severity

MINUTE = 60


@dataclass(frozen=True, slots=True)
class AbuseRules:
    """attempts: of one end user within `period` that raise an alert. principal_attempts: the same
    of a principal over all of its end users. principal_share: of its requests that these are at
    least, as a few of a busy principal's questions are called attempts by mistake; it holds for
    callers that name no end user, too. hold: how long inference then throttles.

    A volume is unusual from `volume_least` requests within `volume_period` that are
    `volume_factor` times the principal's usual number, which is known after `volume_periods` of
    them within `history`. volume_hold: none by default, as success looks the same.
    """

    period: timedelta = timedelta(minutes=10)
    attempts: int = 3
    principal_attempts: int = 30
    principal_share: float = 0.05
    hold: timedelta = timedelta(minutes=15)
    volume_period: timedelta = timedelta(minutes=5)
    volume_least: int = 300
    volume_factor: float = 5.0
    volume_periods: int = 12
    volume_hold: timedelta = timedelta(0)
    history: timedelta = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the watch sees it; `end_user` is the principal's word, never trusted alone."""

    answer_id: str
    tenant: str
    principal: str
    end_user: str
    time: datetime
    attempt: Attempt | None

    @property
    def minute(self) -> int:
        """Since 1970."""
        return int(self.time.timestamp()) // MINUTE


@dataclass(frozen=True, slots=True)
class Activity:
    """This request counted. Of `period`: attempts of the end user and of the principal, the
    principal's requests, and answers of the attempts. Of `volume_period`: requests of the
    principal, and its usual number; None where too little is known."""

    user_attempts: int
    principal_attempts: int
    principal_requests: int
    answer_ids: tuple[str, ...]
    requests: int
    usual: float | None


def alerts(asked: Asked, activity: Activity, rules: AbuseRules) -> Iterator[Alert]:
    """At most one for attempts and one for volume."""
    if asked.attempt is not None:
        yield from _attempts(asked, asked.attempt.aim, activity, rules)
    if activity.usual is not None:
        yield from _volume(asked, activity.requests, activity.usual, rules)


def _attempts(asked: Asked, aim: Aim, activity: Activity, rules: AbuseRules) -> Iterator[Alert]:
    many = activity.principal_attempts >= rules.principal_share * activity.principal_requests
    wide = many and activity.principal_attempts >= rules.principal_attempts
    narrow = activity.user_attempts >= rules.attempts and (bool(asked.end_user) or many)
    if not wide and not narrow:
        return
    count = activity.principal_attempts if wide else activity.user_attempts
    yield Alert(
        tenant=asked.tenant,
        kind=AlertKind(aim),
        severity=Severity.CRITICAL,
        raise_time=asked.time,
        principal=asked.principal,
        end_user="" if wide else asked.end_user,
        until=asked.time + rules.hold,
        detail=f"{count} attempts within {_minutes(rules.period)}, last at {_AIMS[aim]}",
        answer_ids=activity.answer_ids,
    )


def _volume(asked: Asked, requests: int, usual: float, rules: AbuseRules) -> Iterator[Alert]:
    if requests < max(rules.volume_least, rules.volume_factor * usual):
        return
    yield Alert(
        tenant=asked.tenant,
        kind=AlertKind.VOLUME,
        severity=Severity.WARNING,
        raise_time=asked.time,
        principal=asked.principal,
        until=asked.time + rules.volume_hold if rules.volume_hold else None,
        detail=f"{requests} requests within {_minutes(rules.volume_period)}; usual are {usual:.0f}",
        answer_ids=(asked.answer_id,),
    )


_AIMS = {
    Aim.INJECTION: "changing the instructions",
    Aim.EXTRACTION: "getting at the prompt, secrets or others' data",
}


def _minutes(period: timedelta) -> str:
    return f"{period.total_seconds() / MINUTE:g} min"
