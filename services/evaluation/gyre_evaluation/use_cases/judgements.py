"""What people thought counts in the windows, and is watched for drift like answers are."""

from __future__ import annotations

from gyre_evaluation.domain.drift.traffic import Observation, Traffic
from gyre_evaluation.ports import JudgementPlace, LiveStore
from gyre_evaluation.use_cases.live import LivePolicy

PREFIX = "feedback:"


class HearJudgements:
    """Edits replace, withdrawals and quarantines take away, releases give back, in any order."""

    def __init__(self, store: LiveStore, policy: LivePolicy) -> None:
        self._store = store
        self._policy = policy

    async def record(self, place: JudgementPlace, score: float, revision: int) -> None:
        """place.metric: with `PREFIX`."""
        traffic = Traffic(place.tenant, f"feedback={place.metric.removeprefix(PREFIX)}")
        observation = Observation(place.answer_id, place.time, numbers={place.metric: score})
        async with self._store.writing() as page:
            known = await page.judgement(place)
            await page.judge(place, known.recorded(score, revision), self._policy.window)
            await page.observe(traffic, place.feedback_id, observation)

    async def bar(self, place: JudgementPlace, revision: int, *, barred: bool) -> None:
        """place: as far as it is known; what is kept already counts."""
        kept = await self._store.place_of(place.tenant, place.feedback_id, place.metric)
        async with self._store.writing() as page:
            known = await page.judgement(place)
            now = known.bar(revision, barred=barred)
            await page.judge(kept or place, now, self._policy.window)
