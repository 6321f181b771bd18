"""Looking at judgements and their scores, and deciding about suspicious ones."""

from __future__ import annotations

from collections.abc import Sequence

from gyre_feedback.domain.errors import Invalid, MetricTaken
from gyre_feedback.domain.judgements import Kept, State
from gyre_feedback.domain.metrics import RESERVED, Metric
from gyre_feedback.domain.scores import Entity, EntityKind, Score
from gyre_feedback.ports import Effects, Judgements, Metrics, Wanted

DEFAULT_PAGE, LARGEST_PAGE = 100, 1000


def page_size(wanted: int) -> int:
    """Raises `Invalid`."""
    if not 0 <= wanted <= LARGEST_PAGE:
        raise Invalid({"page_size": f"must be 1 to {LARGEST_PAGE}, or 0 for {DEFAULT_PAGE}"})
    return wanted or DEFAULT_PAGE


def _no_token() -> Invalid:
    return Invalid({"page_token": "is not one that this service gave"})


class BrowseFeedback:
    """Pages of judgements, scores and metrics. Every page size may be 0: the default."""

    def __init__(self, metrics: Metrics, judgements: Judgements, effects: Effects) -> None:
        self._metrics, self._judgements, self._effects = metrics, judgements, effects

    async def declare(self, tenant: str, metric: Metric) -> Metric:
        """Raises `Invalid` or `MetricTaken`."""
        metric.check()
        declared = await self._metrics.declare(tenant, metric)
        if not declared.same(metric):
            raise MetricTaken(
                f"metric '{metric.name}' is declared as {declared.type} of {declared.level}, "
                f"{declared.direction}: choose another name"
            )
        return declared

    async def metrics(self, tenant: str, size: int, after: str) -> tuple[Sequence[Metric], str]:
        limit = page_size(size)
        declared = await self._metrics.list(tenant, after, limit + 1)
        reserved = [metric for name, metric in RESERVED.items() if name > after]
        found = sorted([*declared, *reserved], key=lambda metric: metric.name)
        page = found[:limit]
        return page, page[-1].name if len(found) > limit else ""

    async def list(
        self, tenant: str, wanted: Wanted, size: int, after: str
    ) -> tuple[Sequence[Kept], str]:
        """Raises `Invalid` for a page token that is none."""
        try:
            return await self._judgements.list(tenant, wanted, after, page_size(size))
        except ValueError:
            raise _no_token() from None

    async def scores(
        self, tenant: str, kind: EntityKind, entity_id: str, metric: str, size: int, after: str
    ) -> tuple[Sequence[tuple[Entity, Score]], str]:
        limit = page_size(size)
        if after and " " not in after:
            raise _no_token()
        found = await self._effects.scores(tenant, kind, entity_id, metric, after, limit + 1)
        page = found[:limit]
        if len(found) <= limit:
            return page, ""
        last = page[-1][0]
        return page, f"{last.entity_id} {last.metric}"

    async def quarantine(
        self, tenant: str, reason: str, size: int, after: str
    ) -> tuple[Sequence[Kept], str]:
        """Suspicious ones that wait for a decision, oldest first."""
        wanted = Wanted(state=State.QUARANTINED, reason=reason, oldest_first=True)
        return await self.list(tenant, wanted, size, after)

    async def decide(
        self, tenant: str, names: Sequence[tuple[str, str]], decided_by: str, *, counts: bool
    ) -> int:
        """A person's word on suspicious ones; how many it was. Raises `Invalid`."""
        if not 0 < len(names) <= LARGEST_PAGE:
            raise Invalid({"names": f"must be 1 to {LARGEST_PAGE}"})
        return await self._judgements.decide(tenant, names, decided_by, counts=counts)
