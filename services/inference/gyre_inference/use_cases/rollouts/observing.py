"""What an answer's end says about its variant: whether it came, and how long it took."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gyre_inference.domain.record import AnswerRecord, Failure
from gyre_inference.domain.rollouts import ANSWERED, PREFIX, SECONDS, Observation
from gyre_inference.ports import Records, Rollouts

_MOST = 10_000
_PAUSE = 0.25
_NOBODYS = ("CANCELLED", "INVALID_ARGUMENT", "NOT_FOUND", "FAILED_PRECONDITION")


class Observer:
    """Noted in memory, written four times a second: nobody waits. A process that is killed loses
    what it noted since; what is too much is not noted."""

    def __init__(
        self, rollouts: Rollouts, *, lost: Callable[[Exception], None] = lambda error: None
    ) -> None:
        """lost: is told why nothing was written; it is tried again."""
        self._rollouts = rollouts
        self._lost = lost
        self._noted: list[Observation] = []

    def answered(self, record: AnswerRecord) -> None:
        """The answer was given."""
        self._note(record, ANSWERED, 1.0)
        self._note(record, SECONDS, record.timings.total)

    def failed(self, record: AnswerRecord, failure: Failure) -> None:
        """It was not; what callers did wrong, or gave up, says nothing."""
        if failure.status not in _NOBODYS:
            self._note(record, ANSWERED, 0.0)

    async def write(self) -> None:
        """What was noted is durable when it returns. Raises a `Fault`; then it is noted still."""
        if not self._noted:
            return
        noted, self._noted = self._noted, []
        try:
            await self._rollouts.observe(noted)
        except BaseException:
            self._noted = (noted + self._noted)[:_MOST]
            raise

    async def run(self) -> None:
        """Until it is cancelled."""
        while True:
            try:
                await self.write()
            except Exception as error:  # the database is away: it is written later
                self._lost(error)
            await asyncio.sleep(_PAUSE)

    def _note(self, record: AnswerRecord, metric: str, value: float) -> None:
        if record.experiment.startswith(PREFIX) and len(self._noted) < _MOST:
            tenant, unit = record.caller.tenant, record.answer_id
            seen = Observation(tenant, record.experiment, record.variant, metric, unit, value)
            self._noted.append(seen)


class ObservedRecords:
    """`Records` that are observed once they are durable."""

    def __init__(self, records: Records, observer: Observer) -> None:
        self._records = records
        self._observer = observer

    async def generated(self, record: AnswerRecord) -> None:
        """See `Records`."""
        await self._records.generated(record)
        self._observer.answered(record)

    async def failed(self, record: AnswerRecord, failure: Failure) -> None:
        """See `Records`."""
        await self._records.failed(record, failure)
        self._observer.failed(record, failure)
