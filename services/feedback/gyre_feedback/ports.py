"""What the stories need from the world. A float that is a time: seconds since 1970 (UTC)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from gyre_feedback.domain.answers import AnswerCame
from gyre_feedback.domain.judgements import Judgement, Kept, State
from gyre_feedback.domain.metrics import Level, Metric
from gyre_feedback.domain.reviews import Item, Question, Review, ReviewReason
from gyre_feedback.domain.scores import Entity, EntityKind, Score, Tally
from gyre_feedback.domain.suspicion import Account, Recent, Suspicion

Clock = Callable[[], float]
"""The present moment, in seconds since 1970."""

Key = tuple[str, str, str]
"""Names a judgement: tenant, caller, feedback id."""


class Metrics(Protocol):
    """Declared metrics of all tenants; but for its description, one never changes."""

    async def get(self, tenant: str, name: str) -> Metric | None:
        """None where it is not declared; reserved ones are always there."""
        ...

    async def declare(self, tenant: str, metric: Metric) -> Metric:
        """As it is declared afterwards, which may be in another way: then nothing changed."""
        ...

    async def list(self, tenant: str, after: str, limit: int) -> Sequence[Metric]:
        """By name, those behind `after`; without the reserved ones."""
        ...


@dataclass(frozen=True)
class Submitted:
    """A judgement on its way. goodness: None where it moves no score. vouched: the caller is
    known to the operator, so its account is never young."""

    tenant: str
    principal: str
    judgement: Judgement
    level: Level
    goodness: float | None
    vouched: bool = False


@dataclass(frozen=True)
class Wanted:
    """Which judgements; what is empty does not count. prompt: `name` or `name/version`."""

    answer_id: str = ""
    metric: str = ""
    state: State | None = None
    principal: str = ""
    prompt: str = ""
    reason: str = ""
    oldest_first: bool = False


class Judgements(Protocol):
    """Where judgements and answers meet, in whichever order they come."""

    async def keep(self, submitted: Submitted) -> Kept:
        """Durable when it returns; joined at once where the answer is known, else it waits.

        A revision that is known, or older than the one known, changes nothing; the newest is
        given back. Raises `Refused` for another judgement under a known id and revision, for an
        edit that changes what is judged, and for a part that the answer does not have.
        """
        ...

    async def answer_came(self, tenant: str, came: AnswerCame, *, sample: bool) -> int:
        """Joins all that waits for it; how many. May be repeated. sample: put it up for review."""
        ...

    async def get(self, key: Key) -> Kept | None:
        """The newest revision."""
        ...

    async def list(
        self, tenant: str, wanted: Wanted, after: str, limit: int
    ) -> tuple[Sequence[Kept], str]:
        """Newest first, and where the next page begins; empty at the end."""
        ...

    async def decide(
        self, tenant: str, names: Sequence[tuple[str, str]], decided_by: str, *, counts: bool
    ) -> int:
        """Lets quarantined judgements (caller, id) out; how many were there."""
        ...

    async def give_up_waiting(self, moment: float, limit: int) -> int:
        """Sends those that wait since before `moment` to the dead letters; how many."""
        ...

    async def wait_again(self, tenant: str, place: str, letter_id: str) -> bool:
        """For a dead letter that was redriven; whether there is such a one."""
        ...

    async def reject(
        self,
        tenant: str,
        principal: str,
        judgement: Judgement,
        reason: str,
        detail: str,
        cause: str,
    ) -> None:
        """Tells the others. May be repeated with the same cause."""
        ...

    async def forget(self, moment: float, limit: int) -> int:
        """Removes the text of answers that came before `moment` and are not under review."""
        ...


@dataclass(frozen=True)
class Counted:
    """What a judgement counts for at present."""

    account: str
    goodness: float
    entities: tuple[Entity, ...]


@dataclass(frozen=True)
class Changed:
    """A judgement whose effects are not computed yet. fresh: for the first time."""

    key: Key
    account: str
    metric: str
    place: str
    part: str
    state: State
    goodness: float | None
    entities: tuple[Entity, ...]
    receive_time: float
    vouched: bool
    cleared: bool
    fresh: bool
    counted: Counted | None

    @property
    def same(self) -> tuple[str, ...]:
        """Equal for judgements of one account on one thing."""
        return (self.key[0], self.account, self.place, self.part, self.metric)


@dataclass
class Vote:
    """A change of one account's vote on one thing."""

    judgements: int = 0
    total: float = 0.0
    last_time: float = 0.0


AccountKey = tuple[str, str]
"""Tenant and account."""


Judged = tuple[str, str, str]
"""Tenant, where the judgement waited for its answer, and metric."""


class Batch(Protocol):
    """One transaction over some changed judgements: all of their effects, or none."""

    changed: Sequence[Changed]

    async def accounts(self) -> dict[AccountKey, Account]:
        """Of those that judged; new ones begin with their first judgement."""
        ...

    async def first_of(self) -> Mapping[tuple[str, ...], Key]:
        """By `Changed.same`, the first judgement that is not withdrawn."""
        ...

    async def settle(
        self,
        accounts: Mapping[AccountKey, Account],
        suspects: Mapping[Key, Suspicion],
        votes: Mapping[tuple[Entity, str], Vote],
    ) -> None:
        """Keeps accounts, quarantines the suspects, and adds to the votes."""
        ...

    async def standing(
        self, entities: Sequence[Entity], old: float, since: float
    ) -> Mapping[Entity, tuple[Tally, Recent]]:
        """What counts now; accounts first seen after `old` are young, `since` begins the window."""
        ...

    async def quarantine(self, entity: Entity, *, good: bool, old: float, since: float) -> int:
        """Quarantines one side of the young accounts' recent judgements; how many."""
        ...

    async def save(self, scores: Mapping[Entity, Score]) -> None:
        """Keeps scores and their features, and tells others of changed helpfulness."""
        ...

    async def spread(self) -> Mapping[Judged, tuple[float, float]]:
        """Worst and best goodness of what was judged here, of all judgements that count."""
        ...

    async def put_up(self, reasons: Mapping[Judged, ReviewReason]) -> None:
        """Puts answers up for review."""
        ...


class Effects(Protocol):
    """What follows from judgements: votes, scores, features."""

    def batch(self, limit: int) -> AbstractAsyncContextManager[Batch]:
        """Takes changed judgements, oldest first. One batch at a time, over all processes."""
        ...

    async def aging(self, moment: float, limit: int) -> Sequence[Entity]:
        """Entities with young accounts whose score is from before `moment`."""
        ...

    async def scores(
        self, tenant: str, kind: EntityKind, entity_id: str, metric: str, after: str, limit: int
    ) -> Sequence[tuple[Entity, Score]]:
        """By entity and metric, those behind `after`; an id that ends in `/` names all below."""
        ...


@dataclass(frozen=True)
class FeatureRow:
    """Features of one entity as they became known at `event_time`."""

    entity: Entity
    event_time: float
    values: Mapping[str, float]


@dataclass(frozen=True)
class FeatureQuery:
    """as_of_time: None means now."""

    entity: Entity
    as_of_time: float | None = None


class FeaturesUnavailable(Exception):
    """The feature store does not answer now; the same call may succeed later."""


class FeatureStore(Protocol):
    """Features online and offline. Every call may be repeated; all raise `FeaturesUnavailable`."""

    async def write(self, kind: EntityKind, rows: Sequence[FeatureRow], batch: str) -> None:
        """Durable offline and visible online when it returns. batch: names these rows within
        their kind, so that writing them again changes nothing."""
        ...

    async def read(
        self, kind: EntityKind, queries: Sequence[FeatureQuery]
    ) -> Sequence[FeatureRow | None]:
        """In the order asked for; at a time, nothing that became known after it."""
        ...

    async def close(self) -> None:
        """May be repeated."""
        ...


class FeatureQueue(Protocol):
    """Features that the feature store does not have yet."""

    async def waiting(self, limit: int) -> tuple[Sequence[FeatureRow], str]:
        """The oldest, and a name for them."""
        ...

    async def written(self, name: str) -> None:
        """These are in the feature store."""
        ...


class Reviews(Protocol):
    """The review queue."""

    async def add(self, tenant: str, answer_id: str, reason: ReviewReason) -> Item:
        """Adds a reason where the item is there. Raises `Missing` for an unknown answer."""
        ...

    async def bring(self, tenant: str, item: Item, reviews: Sequence[Review]) -> tuple[bool, int]:
        """Keeps an imported item; whether it was new, and how many reviews were new or changed."""
        ...

    async def claim(
        self, tenant: str, reviewer: str, reason: ReviewReason | None, until: float
    ) -> Item | None:
        """The first that wants a review, counting claims, and that the reviewer has not done."""
        ...

    async def complete(self, tenant: str, review: Review) -> Item:
        """Raises `Missing` where there is no such item."""
        ...

    def all(self, tenant: str, *, only_done: bool) -> AsyncIterator[tuple[Item, Sequence[Review]]]:
        """Items in the order of their ids, with their reviews."""
        ...

    async def counts(self, tenant: str) -> tuple[int, int]:
        """Items that want more reviews, and items that are done."""
        ...

    async def reviews(self, tenant: str) -> Sequence[Review]:
        """All of them."""
        ...


Alpha = Callable[[Sequence[Sequence[float | None]], Question], float]
"""Krippendorff's alpha of reviewers by items, for ordered choices."""
