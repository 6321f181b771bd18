"""From judgements to votes, from votes to scores; what was suspicious counts no more."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence

from gyre_feedback.domain.judgements import State
from gyre_feedback.domain.reviews import QueueRules
from gyre_feedback.domain.scores import Entity, EntityKind, Protection, Score
from gyre_feedback.domain.suspicion import Account, Suspicion, Watchfulness
from gyre_feedback.ports import AccountKey, Batch, Changed, Clock, Effects, Key, Vote

LIMIT = 500
AGING = 3600.0
PAUSE_AFTER_FAILURE = 5.0
LONGEST_PAUSE = 5.0
_FLOODED = (EntityKind.PROMPT, EntityKind.CHUNK)
Votes = dict[tuple[Entity, str], Vote]


class Project:
    """Many judgements in one short transaction, so that each costs little."""

    def __init__(
        self,
        effects: Effects,
        clock: Clock,
        protection: Protection,
        watch: Watchfulness,
        rules: QueueRules,
        *,
        pause: float,
        failed: Callable[[Exception], None],
    ) -> None:
        self._effects, self._clock = effects, clock
        self._protection, self._watch, self._rules = protection, watch, rules
        self._pause, self._failed = pause, failed

    async def run(self) -> None:
        """For ever; a batch that fails is told and taken again."""
        while True:
            started = time.monotonic()
            try:
                while await self.once() == LIMIT:
                    pass
                await self.age()
            except Exception as error:
                self._failed(error)
                await asyncio.sleep(PAUSE_AFTER_FAILURE)
            # What many judge takes long to add up: writers get their turn in between.
            taken = time.monotonic() - started
            await asyncio.sleep(max(self._pause, min(4 * taken, LONGEST_PAUSE)))

    async def once(self) -> int:
        """One batch; how many judgements it held."""
        async with self._effects.batch(LIMIT) as batch:
            if batch.changed:
                await self._project(batch)
            return len(batch.changed)

    async def all(self) -> None:
        """Until nothing is left to compute."""
        while await self.once():
            pass

    async def age(self) -> None:
        """Accounts grow old without any judgement: their things are scored anew, hourly."""
        entities = await self._effects.aging(self._clock() - AGING, LIMIT)
        if entities:
            async with self._effects.batch(0) as batch:
                await batch.save(await self._scores(batch, entities))

    async def _project(self, batch: Batch) -> None:
        accounts = await batch.accounts()
        suspects = self._hasty(batch.changed, accounts) | _twins(
            batch.changed, await batch.first_of()
        )
        votes = _votes(batch.changed, suspects)
        await batch.settle(accounts, suspects, votes)
        touched = sorted({entity for entity, _ in votes})
        await batch.save(await self._scores(batch, touched))
        await self._review(batch)

    async def _review(self, batch: Batch) -> None:
        """Answers that are judged badly, or well and badly, are looked at again."""
        reasons = {
            judged: reason
            for judged, (worst, best) in (await batch.spread()).items()
            if (reason := self._rules.of_spread(worst, best)) is not None
        }
        if reasons:
            await batch.put_up(reasons)

    async def _scores(self, batch: Batch, entities: Sequence[Entity]) -> Mapping[Entity, Score]:
        now = self._clock()
        old, since = now - self._watch.young_age, now - self._watch.flood_window
        standing = await batch.standing(entities, old, since)
        for entity, (_, recent) in standing.items():
            side = self._watch.flooded(recent) if entity.kind in _FLOODED else None
            if side is not None:
                await batch.quarantine(entity, good=side, old=old, since=since)
        return {entity: self._protection.score(tally) for entity, (tally, _) in standing.items()}

    def _hasty(
        self, changed: Sequence[Changed], accounts: Mapping[AccountKey, Account]
    ) -> dict[Key, Suspicion]:
        """Those over their account's rate; every judgement is counted, once."""
        found: dict[Key, Suspicion] = {}
        for one in changed:
            if not one.fresh:
                continue
            account = accounts[one.key[0], one.account]
            over = account.over(one.receive_time, self._watch.account_rate)
            if over and _suspectable(one):
                found[one.key] = Suspicion.RATE
        return found


def _twins(
    changed: Sequence[Changed], first: Mapping[tuple[str, ...], Key]
) -> dict[Key, Suspicion]:
    """Those that an account gave before, under another id."""
    return {
        one.key: Suspicion.DUPLICATE
        for one in changed
        if one.fresh and _suspectable(one) and first.get(one.same, one.key) != one.key
    }


def _suspectable(one: Changed) -> bool:
    return one.state is State.RECORDED and not one.cleared and one.goodness is not None


def _votes(changed: Sequence[Changed], suspects: Mapping[Key, Suspicion]) -> Votes:
    """What is taken from the votes, and what is added."""
    votes: Votes = {}
    for one in changed:
        if one.counted is not None:
            for entity in one.counted.entities:
                vote = votes.setdefault((entity, one.counted.account), Vote())
                vote.judgements -= 1
                vote.total -= one.counted.goodness
        if one.state is State.RECORDED and one.goodness is not None and one.key not in suspects:
            for entity in one.entities:
                vote = votes.setdefault((entity, one.account), Vote())
                vote.judgements += 1
                vote.total += one.goodness
                vote.last_time = max(vote.last_time, one.receive_time)
    return votes
