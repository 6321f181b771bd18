"""What people think of an answer or of a passage: one account, one vote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gyre_retraining.domain.rows import Source
from gyre_retraining.domain.scales import Scales, goodness, review_goodness
from gyre_retraining.domain.sources import Judgement, Level, Review

REVIEW = "review"


@dataclass(frozen=True, slots=True)
class Vote:
    """A judgement that says good or bad. chunk_id: empty where it is about the answer."""

    account: str
    answer_id: str
    chunk_id: str
    metric: str
    goodness: float
    time: float
    source: Source

    @property
    def sources(self) -> tuple[Source, Source]:
        return (self.source, ("answer", self.answer_id))


@dataclass(frozen=True, slots=True)
class Opinion:
    """All votes on one thing. goodness: mean of the accounts' means. metric: of the most votes."""

    goodness: float
    accounts: tuple[str, ...]
    sources: tuple[Source, ...]
    metric: str
    time: float


def votes(
    judgements: Iterable[Judgement],
    reviews: Iterable[Review],
    scales: Scales,
    metrics: Sequence[str] = (),
) -> list[Vote]:
    """metrics: those that count; none means all. Judgements of steps say nothing of the whole."""
    found = [
        Vote(
            account=one.account,
            answer_id=one.answer_id,
            chunk_id=one.chunk_id if one.level is Level.CHUNK else "",
            metric=one.metric,
            goodness=value,
            time=one.time,
            source=("judgement", one.judgement_id),
        )
        for one in judgements
        if one.level is not Level.STEP
        and (not metrics or one.metric in metrics)
        and (value := goodness(one, scales)) is not None
    ]
    found += [
        Vote(one.reviewer, one.answer_id, "", REVIEW, value, one.time, (REVIEW, one.review_id))
        for one in reviews
        if (not metrics or REVIEW in metrics) and (value := review_goodness(one)) is not None
    ]
    return found


def opinion(given: Sequence[Vote]) -> Opinion:
    """Of one vote at least."""
    by_account = means(given)
    counts: dict[str, int] = defaultdict(int)
    for one in given:
        counts[one.metric] += 1
    return Opinion(
        goodness=sum(by_account[name] for name in sorted(by_account)) / len(by_account),
        accounts=tuple(sorted(by_account)),
        sources=tuple(sorted({source for one in given for source in one.sources})),
        metric=min(counts, key=lambda name: (-counts[name], name)),
        time=min(one.time for one in given),
    )


def means(given: Iterable[Vote]) -> Mapping[str, float]:
    """Mean goodness by account."""
    values: dict[str, list[float]] = defaultdict(list)
    for one in given:
        values[one.account].append(one.goodness)
    return {name: sum(sorted(said)) / len(said) for name, said in values.items()}
