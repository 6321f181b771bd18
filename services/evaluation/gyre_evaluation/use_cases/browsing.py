"""What live answers came to: windows, traffic and alerts of one tenant."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from gyre_evaluation.domain.alerts import Acknowledgement, KnownAlert
from gyre_evaluation.domain.drift.traffic import Check, Plan, Progress, Traffic
from gyre_evaluation.domain.windows import Group, GroupKind, Moments
from gyre_evaluation.ports import LiveStore
from gyre_evaluation.use_cases.live import LivePolicy

_KINDS = {kind.value: kind for kind in (GroupKind.PROMPT, GroupKind.MODEL, GroupKind.VARIANT)}


class UnknownAlert(Exception):
    """There is no such alert of the tenant."""


class UnknownTraffic(Exception):
    """Nothing of this scope was seen."""


@dataclass(frozen=True, slots=True)
class WindowSummary:
    """One window of one group; sums by metric."""

    start: datetime
    end: datetime
    group: Group
    metrics: Mapping[str, Moments]


@dataclass(frozen=True, slots=True)
class WatchedTraffic:
    """Traffic and its newest checks."""

    progress: Progress
    checks: Sequence[Check]


class BrowseLive:
    """Reads, acknowledges, sets references anew."""

    def __init__(
        self,
        store: LiveStore,
        policy: LivePolicy,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._store = store
        self._policy = policy
        self._clock = clock

    @property
    def plan(self) -> Plan:
        return self._policy.plan

    async def windows(
        self,
        tenant: str,
        period: tuple[datetime | None, datetime | None],
        group_by: str,
        metrics: Sequence[str],
    ) -> list[WindowSummary]:
        """Oldest first. period: None means the last day. group_by: empty, `prompt`, `model`,
        `variant` or the key of a slice."""
        end = period[1] or self._clock()
        start = period[0] or end - timedelta(days=1)
        kind = _KINDS.get(group_by, GroupKind.SLICE) if group_by else GroupKind.ALL
        cut = group_by if kind is GroupKind.SLICE else ""
        rows = await self._store.windows(tenant, (start, end), kind, cut, metrics)
        found: dict[tuple[datetime, Group], dict[str, Moments]] = defaultdict(dict)
        for key, moments in rows:
            found[key.start, key.group][key.metric] = moments
        return [
            WindowSummary(start, start + self._policy.window, group, sums)
            for (start, group), sums in sorted(found.items(), key=lambda one: one[0])
        ]

    async def alerts(
        self, tenant: str, limit: int, *, before: tuple[float, str] | None, open_only: bool
    ) -> list[KnownAlert]:
        """Newest first."""
        return await self._store.alerts(tenant, limit, before=before, open_only=open_only)

    async def acknowledge(
        self, tenant: str, principal: str, alert_id: str, comment: str
    ) -> KnownAlert:
        """Raises `UnknownAlert`. Whoever was first stays."""
        by = Acknowledgement(principal, self._clock(), comment)
        known = await self._store.acknowledge(tenant, alert_id, by)
        if known is None:
            raise UnknownAlert(alert_id)
        return known

    async def traffic(self, tenant: str, scope: str, windows: int) -> list[WatchedTraffic]:
        """By scope; empty scope means all."""
        found = await self._store.progress(tenant, scope)
        return [WatchedTraffic(one, await self._store.checks(one, windows)) for one in found]

    async def reset_reference(self, tenant: str, scope: str) -> None:
        """Raises `UnknownTraffic`."""
        if not await self._store.reset(Traffic(tenant, scope)):
            raise UnknownTraffic(scope)
