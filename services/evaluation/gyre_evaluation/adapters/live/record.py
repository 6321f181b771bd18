"""`LiveRecord`: one write transaction of the service's database."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from datetime import datetime, timedelta

from gyre.inference.v1.events_pb2 import AnswerRecord
from gyre_runtime.database import Transaction

from gyre_evaluation.adapters.live import activity, alerting, drifting, pending, scoring
from gyre_evaluation.adapters.live.sums import make
from gyre_evaluation.adapters.live.tables import disparity_checks
from gyre_evaluation.domain.abuse.watching import AbuseRules, Activity, Asked
from gyre_evaluation.domain.alerts import Alert
from gyre_evaluation.domain.drift.findings import Finding
from gyre_evaluation.domain.drift.traffic import Check, Observation, Plan, Progress, Traffic
from gyre_evaluation.domain.judgements import Judgement
from gyre_evaluation.domain.live import LiveAnswer
from gyre_evaluation.domain.metrics.metric import Score
from gyre_evaluation.domain.windows import Traits
from gyre_evaluation.ports import JudgementPlace, Measured, Stage, Waiting
from gyre_evaluation.wire.alerts import drift_detected
from gyre_evaluation.wire.live import answer_evaluated

_DRIFT = uuid.UUID("0d0f3c53-6d7c-5a43-8f3e-0a6e4f6b7a10")


class DatabaseLiveRecord:
    """See the port."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._connection = transaction.connection

    async def count(self, asked: Asked, rules: AbuseRules) -> Activity:
        return await activity.count(self._connection, asked, rules)

    async def raise_alert(self, alert: Alert, cool_down: timedelta) -> bool:
        return await alerting.raise_alert(self._transaction, alert, cool_down)

    async def newly(self, tenant: str, cause: str, time: datetime, cool_down: timedelta) -> bool:
        return await alerting.newly(self._transaction, tenant, cause, time, cool_down)

    async def await_scores(self, tenant: str, record: bytes, status: str) -> None:
        parsed = AnswerRecord.FromString(record)
        await pending.wait(self._connection, tenant, parsed, status, time.time())

    async def await_judges(self, waiting: Waiting, budget: int) -> bool:
        if not await pending.spend(self._connection, waiting.answer.tenant, time.time(), budget):
            return False
        await pending.postpone(self._connection, waiting, Stage.JUDGES, 0, time.time())
        return True

    async def take(self, waiting: Waiting) -> bool:
        return await pending.take(self._connection, waiting)

    async def score(
        self, answer: LiveAnswer, traits: Traits, scores: Sequence[Score], window: timedelta
    ) -> bool:
        source, time = answer.answer_id, answer.time
        new = False
        for score in scores:
            place = JudgementPlace(answer.tenant, source, score.metric, source, time, traits)
            known = await self.judgement(place)
            if known.revision == 0:
                new = True
                now = Judgement(score.value, revision=1)
                await self._keep(place, known, now, window)
        return new

    async def observe(self, traffic: Traffic, source_id: str, observation: Observation) -> None:
        await drifting.observe(self._connection, traffic, source_id, observation)

    async def judge(self, place: JudgementPlace, now: Judgement, window: timedelta) -> None:
        await self._keep(place, await self.judgement(place), now, window)

    async def judgement(self, place: JudgementPlace) -> Judgement:
        return await scoring.judgement(self._connection, place)

    async def checked(self, of: Progress, plan: Plan, check: Check) -> bool:
        return await drifting.checked(self._connection, of, plan, check)

    async def disparity_checked(self, tenant: str, start: datetime) -> bool:
        row = {"tenant": tenant, "start": int(start.timestamp())}
        return await make(self._connection, disparity_checks, row)

    def say_evaluated(
        self, answer: LiveAnswer, measured: Measured, share: float, time: datetime
    ) -> None:
        event = answer_evaluated(answer, measured.language, measured.scores, share, time)
        stage = ",".join(sorted({score.source for score in measured.scores}))
        cause = f"{answer.answer_id}/{stage}"
        self._transaction.say(event, tenant=answer.tenant, entity_id=answer.answer_id, cause=cause)

    def say_drifted(
        self, of: Progress, plan: Plan, check: Check, findings: Sequence[Finding]
    ) -> None:
        name = f"{of.traffic.tenant}\0{of.traffic.scope}\0{of.generation}\0{check.window}"
        drift_id = str(uuid.uuid5(_DRIFT, name))
        event = drift_detected(
            drift_id,
            of.traffic.scope,
            (check.start, check.end),
            (plan.reference, plan.window),
            findings,
        )
        self._transaction.say(event, tenant=of.traffic.tenant, entity_id=drift_id, cause=drift_id)

    async def _keep(
        self, place: JudgementPlace, known: Judgement, now: Judgement, window: timedelta
    ) -> None:
        if now != known:
            seconds = int(window.total_seconds())
            await scoring.keep(self._connection, place, known, now, seconds)
