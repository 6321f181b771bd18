"""Datasets: opened, filled from files, recorded answers or reviews, sealed for good."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gyre_evaluation.domain.datasets import DatasetVersion, SplitPlan, refuse_bad_name, seal
from gyre_evaluation.domain.errors import DatasetNotReady, RequestInvalid
from gyre_evaluation.domain.examples import Example
from gyre_evaluation.domain.recorded import AnswerFilter, example_of
from gyre_evaluation.ports import Datasets, RecordedAnswers, Reviews

MOST_AT_ONCE = 1000
MOST_EXAMPLES = 100_000


@dataclass(frozen=True, slots=True)
class ReviewFilter:
    """Only reviews from `since` on, at most so many."""

    since: datetime | None = None
    limit: int = 1000


@dataclass(frozen=True, slots=True)
class Opening:
    """What a new version is called and where its first examples come from."""

    name: str
    author: str
    description: str = ""
    creation_key: str = ""
    answers: AnswerFilter | None = None
    reviews: ReviewFilter | None = None
    base_version: int = 0


class KeepDatasets:
    """Every method raises `RequestInvalid` and `DatasetUnknown`."""

    def __init__(self, datasets: Datasets, recorded: RecordedAnswers, reviews: Reviews) -> None:
        self._datasets = datasets
        self._recorded = recorded
        self._reviews = reviews

    async def open(self, tenant: str, opening: Opening) -> DatasetVersion:
        """Raises `NotPossible`, `TargetUnavailable` where reviews are wanted and cannot be had."""
        refuse_bad_name(opening.name)
        first = await self._first(tenant, opening)
        version = await self._datasets.open(
            tenant,
            opening.name,
            description=opening.description,
            author=opening.author,
            creation_key=opening.creation_key,
        )
        if first and not version.sealed:
            await self._datasets.add(version, first)
        return await self._datasets.get(tenant, version.name, version.version)

    async def add(
        self, tenant: str, name: str, version: int, examples: Sequence[Example]
    ) -> tuple[list[str], int]:
        """Ids, and how many were new. Raises `DatasetSealed`."""
        if not 1 <= len(examples) <= MOST_AT_ONCE:
            raise RequestInvalid({"examples": f"give 1 to {MOST_AT_ONCE} at once"})
        known = await self._datasets.get(tenant, name, version)
        if known.examples + len(examples) > MOST_EXAMPLES:
            raise RequestInvalid({"examples": f"a version holds at most {MOST_EXAMPLES}"})
        added = await self._datasets.add(known, examples)
        return [one.example_id for one in examples], added

    async def seal(self, tenant: str, name: str, version: int, plan: SplitPlan) -> DatasetVersion:
        """Raises `DatasetNotReady` where it is empty."""
        known = await self._datasets.get(tenant, name, version)
        if known.sealed:
            return known
        examples = await self._datasets.examples(known)
        if not examples:
            raise DatasetNotReady(f"{name}@{known.version} is empty: add examples first")
        return await self._datasets.seal(known, seal(examples, plan))

    async def get(self, tenant: str, name: str, version: int) -> DatasetVersion:
        return await self._datasets.get(tenant, name, version)

    async def page(
        self, tenant: str, name: str, limit: int, after: tuple[str, int] | None
    ) -> list[DatasetVersion]:
        return await self._datasets.page(tenant, name, limit=limit, after=after)

    async def examples(
        self, tenant: str, name: str, version: int, split: str, limit: int, after: str
    ) -> list[Example]:
        known = await self._datasets.get(tenant, name, version)
        return await self._datasets.examples(known, split=split, limit=limit, after=after)

    async def _first(self, tenant: str, opening: Opening) -> Sequence[Example]:
        if opening.answers is not None:
            found = await self._recorded.find(tenant, opening.answers)
            return [example_of(one) for one in found]
        if opening.reviews is not None:
            wanted = opening.reviews
            return await self._reviews.examples(tenant, wanted.since, wanted.limit)
        if opening.base_version:
            base = await self._datasets.get(tenant, opening.name, opening.base_version)
            return await self._datasets.examples(base)
        return ()
